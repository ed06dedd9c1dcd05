"""A model of the service's own on the node: fetched, served through the ingress, told of truly."""

import json
import re

import pytest
from sklearn.linear_model import LogisticRegression

from e2e.conftest import KEYS
from support.flowers import ASKED, answers, blocked, deploy, serve, upload
from support.spaces import Space
from support.terminals import condition
from support.traffic import Client

pytestmark = pytest.mark.usefixtures("mlserver")


def store(space: Space, secret_key: str) -> None:
    """Describe the bucket in the Secret that names stores."""
    entry = {
        "type": "s3",
        "bucket": "elsewhere",
        "endpoint_url": f"http://{space.endpoint}",
        "access_key_id": KEYS["AWS_ACCESS_KEY_ID"],
        "secret_access_key": secret_key,
    }
    meta = {"name": "storage-config"}
    data = {"minio": json.dumps(entry)}
    space.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data})


@pytest.mark.timeout(280)
def test_it_answers_through_the_ingress_what_the_model_answers(
    space: Space, model: LogisticRegression
) -> None:
    serve(space, upload(space, model))
    space.wait("isvc/iris", 120)
    assert answers(space, model)
    body = space.get("isvc/iris")
    assert body["status"]["clusterServingRuntimeName"] == "kserve-mlserver"
    assert body["status"]["modelStatus"]["states"] == {
        "activeModelState": "Loaded",
        "targetModelState": "Loaded",
    }
    said = space.run(f"kubectl logs {space.pod('iris')} -c storage-initializer")
    assert said.splitlines()[-1] == f"s3://{space.namespace}/iris: is in /mnt/models"


@pytest.mark.timeout(280)
def test_a_wrong_key_is_told_and_a_corrected_one_heals(
    space: Space, model: LogisticRegression
) -> None:
    uri = upload(space, model)
    space.make_credentials(AWS_SECRET_ACCESS_KEY="wrong")  # noqa: S106 - that is the point
    serve(space, uri)
    body = blocked(space)
    told = condition(body, "Ready")["message"]
    assert re.fullmatch(rf"Secret {space.namespace}/\S+: .* refused .* for {uri}.*", told)
    status = body["status"]["modelStatus"]
    assert status["transitionStatus"] == "BlockedByFailedLoad"
    assert status["lastFailureInfo"]["message"] == told
    assert status["lastFailureInfo"]["exitCode"] == 1
    pod = space.pod("iris")
    space.make_credentials()
    space.wait("isvc/iris", 120)
    assert space.pod("iris") == pod
    assert "lastFailureInfo" not in space.get("isvc/iris")["status"]["modelStatus"]


@pytest.mark.timeout(280)
def test_an_update_to_nothing_leaves_the_old_model_answering(
    space: Space, model: LogisticRegression
) -> None:
    uri = upload(space, model)
    serve(space, uri)
    space.wait("isvc/iris", 120)
    with Client(space.through_ingress("iris", "iris"), body=ASKED) as client:
        serve(space, f"s3://{space.namespace}/none")
        body = blocked(space)
        assert body["status"]["modelStatus"]["states"]["activeModelState"] == "Loaded"
        serve(space, uri)
        space.wait("isvc/iris", 60)
    assert client.answers
    assert client.failures == []


@pytest.mark.timeout(280)
def test_a_store_is_found_by_its_name_and_a_rotated_key_heals(
    space: Space, model: LogisticRegression
) -> None:
    upload(space, model)
    store(space, "wrong")
    place = {"key": "minio", "path": "iris", "parameters": {"bucket": space.namespace}}
    deploy(space, {"storage": place})
    told = condition(blocked(space), "Ready")["message"]
    assert told.startswith(f"Secret {space.namespace}/storage-config, key minio: ")
    assert "wrong" not in json.dumps(space.get("pods"))
    store(space, KEYS["AWS_SECRET_ACCESS_KEY"])
    space.wait("isvc/iris", 120)
    assert answers(space, model)


@pytest.mark.timeout(280)
def test_several_addresses_and_a_claim_below_them(
    space: Space, model: LogisticRegression, claim: str
) -> None:
    extra = space.put("extra", {"notes.txt": b"more"})
    rows = [
        {"uri": upload(space, model)},
        {"uri": extra, "mountPath": "/mnt/models/extra"},
        {"uri": f"pvc://{claim}/tokens", "mountPath": "/mnt/models/tokens"},
    ]
    deploy(space, {}, storageUris=rows)
    space.wait("isvc/iris", 120)
    assert answers(space, model)
    listed = space.run(f"kubectl exec {space.pod('iris')} -- ls /mnt/models /mnt/models/extra")
    assert {"model.joblib", "extra", "tokens", "notes.txt"} <= set(listed.split())
