from typing import Any

import pytest

from shoal.desired import deployments
from shoal.errors import StalledError
from support import builders
from support.builders import Body

CACHE = "serving.kserve.io/model-cache"
READ_ONLY = "storage.kserve.io/readonly"
FETCHED = {"env": [{"name": "STORAGE_URI", "value": "s3://models/iris"}]}


def pod(cache: str = "pvc://shared/iris", *others: Body, **given: Any) -> Body:
    """Make the pod of a service with a cache; `given` are further annotations and fields."""
    annotations = {CACHE: cache, **given.pop("annotations", {})}
    box = builders.container(**{**FETCHED, **given.pop("box", {})})
    body = builders.inference_service(
        containers=[box, *others], predictor=given, annotations=annotations
    )
    made: Body = deployments.make(builders.wanted(body))["spec"]["template"]["spec"]
    return made


def mount(box: Body) -> Body | None:
    rows = box.get("volumeMounts") or []
    return next((row for row in rows if row["mountPath"] == "/mnt/model-cache"), None)


def test_the_init_container_writes_and_the_server_reads() -> None:
    made = pod()
    (init,) = made["initContainers"]
    own = {"name": "shoal-model-cache", "mountPath": "/mnt/model-cache", "subPath": "iris"}
    assert mount(init) == own
    assert [row["name"] for row in init["volumeMounts"]].count("kserve-provision-location") == 1
    assert mount(made["containers"][0]) == {**own, "readOnly": True}
    claim = {"persistentVolumeClaim": {"claimName": "shared"}}
    assert {"name": "shoal-model-cache", **claim} in made["volumes"]
    env = {row["name"]: row["value"] for row in init["env"]}
    assert env["SHOAL_MODEL_CACHE"] == "/mnt/model-cache"
    assert env["SHOAL_MODEL_CACHE_NAME"] == "pvc://shared/iris"
    assert init["args"] == ["fetch", "s3://models/iris", "/mnt/models"]


def test_a_claim_may_be_a_cache_as_a_whole() -> None:
    assert mount(pod("pvc://shared")["containers"][0]) == {
        "name": "shoal-model-cache",
        "mountPath": "/mnt/model-cache",
        "readOnly": True,
    }


def test_without_one_nothing_is_added() -> None:
    made = pod("")
    (init,) = made["initContainers"]
    assert (mount(init), mount(made["containers"][0])) == (None, None)
    assert not [row for row in init["env"] if "CACHE" in row["name"]]


def test_a_transformer_beside_the_server_can_follow_the_links_too() -> None:
    others = [builders.container("transformer-container"), builders.container("side")]
    boxes = pod("pvc://shared", *others)["containers"]
    assert [mount(box) is not None for box in boxes] == [True, True, False]


def test_below_the_folder_of_models_the_init_container_still_writes() -> None:
    uris = [
        {"uri": "s3://b/m", "mountPath": "/mnt/one"},
        {"uri": "s3://b/n", "mountPath": "/mnt/two"},
    ]
    made = pod("pvc://shared", box={"env": []}, storageUris=uris)
    (init,) = made["initContainers"]
    rows = [row for row in init["volumeMounts"] if row["mountPath"] == "/mnt/model-cache"]
    assert rows == [{"name": "shoal-model-cache", "mountPath": "/mnt/model-cache"}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"annotations": {READ_ONLY: "false"}},
            rf"metadata.annotations\[{READ_ONLY}\]: pods of a model cache only read their models",
            id="a-server-that-writes",
        ),
        pytest.param(
            {"volumes": [{"name": "shoal-model-cache", "emptyDir": {}}]},
            r"spec.predictor.volumes\[0\].name: 'shoal-model-cache' is used by",
            id="a-volume-of-the-name",
        ),
        pytest.param(
            {"box": {"volumeMounts": [{"name": "v", "mountPath": "/mnt/model-cache/"}]}},
            r"containers\[0\].volumeMounts\[0\].mountPath: '/mnt/model-cache/' is used by",
            id="a-mount-there",
        ),
    ],
)
def test_what_is_in_its_way_is_refused(given: Body, message: str) -> None:
    with pytest.raises(StalledError, match=message):
        pod(**given)
