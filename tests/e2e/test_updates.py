"""A model that serves is changed, as a user types it; a client asks all the while."""

import time

import pytest

from support.spaces import LINE, RANGES, Space
from support.terminals import until
from support.traffic import Client

REFRESH = "serving.kserve.io/refresh"
ARTIFACT = "serving.kserve.io/artifact-digest"
SECRET = "serving.kserve.io/storageSecretName"  # noqa: S105 - an annotation


def _serve(space: Space, name: str) -> None:
    space.add(name, space.upload(name))
    space.serve()
    space.wait(f"tm/{name} isvc/server")


@pytest.mark.timeout(150)
def test_a_refresh_serves_new_content_without_a_hole(space: Space) -> None:
    _serve(space, "m")
    space.upload("m", "model2-custom")
    with Client(space.through_ingress("m"), pause=0.01) as client:
        until(lambda: len(client.answers), lambda count: count > 100, 20, "it is asked")
        assert {answer.value for answer in client.answers} == {LINE}
        space.run(f"kubectl annotate tm m {REFRESH}=monday")
        path = "{.status.annotations.serving\\.kserve\\.io/refresh}"
        space.run(f"kubectl wait tm/m --for=jsonpath='{path}'=monday --timeout=30s")
        served = time.time()
        until(lambda: client.answers[-1].asked, lambda at: at > served, 20, "it is asked again")
    assert client.failures == []
    assert {answer.value for answer in client.answers if answer.asked > served} == {RANGES}
    until(
        lambda: space.run("kubectl get events --field-selector reason=Refreshed"),
        lambda said: 'Refresh "monday": every replica answers' in said,
        10,
        "an event says so",
    )


@pytest.mark.timeout(150)
def test_the_end_of_a_refresh_annotation_changes_nothing(space: Space) -> None:
    _serve(space, "m")
    space.run(f"kubectl annotate tm m {REFRESH}=monday")
    until(lambda: space.get("tm/m")["status"].get("annotations"), bool, 30, "it is refreshed")
    before = space.get("tm/m")["status"]
    space.upload("m", "model2-custom")
    space.run(f"kubectl annotate tm m {REFRESH}-")
    time.sleep(3)
    assert space.get("tm/m")["status"] == before
    assert space.ask("m").value == LINE


@pytest.mark.timeout(150)
def test_updates_good_bad_and_back_fail_no_request(space: Space) -> None:
    _serve(space, "m")
    other = space.upload("other", "model2-custom")
    bad = space.put("bad", {"model.joblib": b"this was never a model"})
    values = {f"s3://{space.namespace}/m": LINE, other: RANGES}
    with (
        space.sample(values),  # fails where a lie was told
        Client(space.through_ingress("m"), pause=0.01) as client,
    ):
        for uri in (other, bad, f"s3://{space.namespace}/m", other):
            space.add("m", uri)
            if uri == bad:
                space.failing("m", "ModelLoadFailed", 30)
                assert space.condition("tm/m", "Serving")["status"] == "True"
            else:
                space.wait("tm/m")
    assert client.failures == []


@pytest.mark.timeout(150)
def test_an_update_that_is_refused_fails_no_request(space: Space) -> None:
    _serve(space, "m")
    with (
        space.sample({f"s3://{space.namespace}/m": LINE}),
        Client(space.through_ingress("m"), pause=0.01) as client,
    ):
        space.run(f"kubectl annotate tm m {ARTIFACT}=md5:12")
        message = space.failing("m", "InvalidSpec", 30)["message"]
        assert message.startswith(f"metadata.annotations[{ARTIFACT}]: must be 'sha256:'")
        assert message.endswith("(the version before still answers)")
        assert space.condition("tm/m", "Serving")["status"] == "True"
        refused = time.time()
        until(lambda: client.answers[-1].asked, lambda at: at > refused + 2, 20, "it is asked on")
        space.run(f"kubectl annotate tm m {ARTIFACT}-")
        space.wait("tm/m")
    assert client.failures == []


@pytest.mark.timeout(150)
def test_a_secret_that_a_model_names_is_its_own(space: Space) -> None:
    space.run("kubectl patch serviceaccount default -p '{\"secrets\": null}'")
    space.add("m", space.upload("m"))
    space.run(f"kubectl annotate tm m {SECRET}=mine")
    space.serve()
    message = space.failing("m", "CredentialsNotFound", 30)["message"]
    assert message == f"Secret {space.namespace}/mine does not exist"
    space.run(f"kubectl annotate tm m --overwrite {SECRET}=s3-credentials")
    space.wait("tm/m", 60)
    (role,) = [row for row in space.get("roles")["items"] if "server" in row["metadata"]["name"]]
    rules = {rule["resources"][0]: rule for rule in role["rules"]}
    assert rules["secrets"]["resourceNames"] == ["s3-credentials"]
    assert rules["secrets"]["verbs"] == ["get"]
