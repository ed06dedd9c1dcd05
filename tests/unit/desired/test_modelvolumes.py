from typing import Any

import pytest

from shoal import names
from shoal.api import inferenceservices
from shoal.desired import children, deployments, modelvolumes
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from support import builders
from support.builders import Body

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path


def _wanted(*rows: tuple[str, str], **predictor: Any) -> Wanted:
    uris = [{"uri": uri, "mountPath": path} for uri, path in rows]
    given = {"storageUris": uris, **predictor}
    body = builders.framework("sklearn", {}, predictor=given)
    server = builders.server(inferenceservices.parse(body), builders.runtime("sklearn"))
    return builders.wanted(body, server=server)


def _pod(*rows: tuple[str, str], **predictor: Any) -> Any:
    return deployments.make(_wanted(*rows, **predictor))["spec"]["template"]["spec"]


def _mounts(box: Body) -> list[tuple[str, str, bool]]:
    rows = box.get("volumeMounts") or []
    return [(row["name"], row["mountPath"], row.get("readOnly", False)) for row in rows]


def test_one_init_container_brings_all_into_one_volume() -> None:
    pod = _pod(("hf://o/base", "/mnt/models/base"), ("s3://b/lora", "/mnt/models/lora/"))
    (init,) = pod["initContainers"]
    assert init["args"] == [
        "fetch",
        "hf://o/base",
        "/mnt/models/base",
        "s3://b/lora",
        "/mnt/models/lora",
    ]
    assert _mounts(init) == [("mnt-models", "/mnt/models", False), ("agent-token", TOKEN, True)]
    assert _mounts(pod["containers"][0]) == [("mnt-models", "/mnt/models", True)]
    assert {"name": "mnt-models", "emptyDir": {}} in pod["volumes"]


def test_a_single_one_lies_where_it_is_mounted() -> None:
    pod = _pod(("s3://b/m", "/mnt/models"))
    assert pod["initContainers"][0]["args"] == ["fetch", "s3://b/m", "/mnt/models"]
    assert _mounts(pod["containers"][0]) == [("mnt-models", "/mnt/models", True)]


@pytest.mark.weakness("C23")
def test_claims_are_mounted_with_their_folder_and_nothing_is_fetched_for_them() -> None:
    pod = _pod(("pvc://one/a/b", "/mnt/models/a"), ("pvc://two", "/data"))
    assert "initContainers" not in pod
    assert pod["volumes"] == [
        {"name": "mnt-models-a", "persistentVolumeClaim": {"claimName": "one"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "two"}},
    ]
    assert pod["containers"][0]["volumeMounts"] == [
        {"name": "mnt-models-a", "mountPath": "/mnt/models/a", "readOnly": True, "subPath": "a/b"},
        {"name": "data", "mountPath": "/data", "readOnly": True},
    ]
    kinds = [child["kind"] for child in children.make(_wanted(("pvc://one", "/data")))]
    assert "Role" not in kinds


def test_a_claim_below_what_is_fetched_has_its_folder_made_by_the_init_container() -> None:
    rows = [("s3://b/m", "/mnt/models"), ("pvc://one/a", "/mnt/models/a"), ("pvc://two", "/data")]
    pod = _pod(*rows)
    (init,) = pod["initContainers"]
    assert init["args"] == ["fetch", "s3://b/m", "/mnt/models"]
    assert _mounts(init) == [
        ("mnt-models", "/mnt/models", False),
        ("agent-token", TOKEN, True),
        ("mnt-models-a", "/mnt/models/a", True),
    ]
    assert [path for _, path, _ in _mounts(pod["containers"][0])] == [
        "/mnt/models",
        "/mnt/models/a",
        "/data",
    ]


@pytest.mark.parametrize(
    ("folders", "shared"),
    [
        pytest.param(["/a/b"], "/a/b", id="one"),
        pytest.param(["/a/b", "/a/c"], "/a", id="side-by-side"),
        pytest.param(["/a/b/c", "/a/b"], "/a/b", id="one-in-the-other"),
        pytest.param(["/a/bc", "/a/bd", "/a/bc/x"], "/a", id="whole-steps-count"),
    ],
)
def test_the_shared_folder(folders: list[str], shared: str) -> None:
    assert modelvolumes.parent(folders) == shared


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        pytest.param("/mnt/models", "mnt-models", id="as-upstream"),
        pytest.param("/mnt/a-b", "mnt-a-b-6471c557", id="not-that-of-/mnt/a/b"),
        pytest.param("/Mnt_1/ü", "mnt-1-b17308cb", id="what-no-label-has"),
        pytest.param("/ü", "80c0f51a", id="nothing-that-a-label-has"),
        pytest.param("/" + "a" * 63, "a" * 63, id="the-longest"),
        pytest.param("/" + "a" * 64, "a" * 54 + "-a0305bf5", id="too-long"),
    ],
)
def test_the_volumes_name_is_that_of_the_folder(folder: str, name: str) -> None:
    assert names.model_volume(folder) == name


@pytest.mark.parametrize(
    ("row", "predictor", "path"),
    [
        pytest.param(("pvc://", "/a"), {}, "storageUris[0].uri: 'pvc://' is not", id="no-claim"),
        pytest.param(
            ("s3://b/m", "/mnt/models"),
            {"volumes": [{"name": "mnt-models", "emptyDir": {}}]},
            "volumes[0].name: 'mnt-models' is used by a model that storageUris names",
            id="a-volume",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    row: tuple[str, str], predictor: dict[str, Any], path: str
) -> None:
    with pytest.raises(StalledError) as caught:
        _pod(row, **predictor)
    assert caught.value.message.startswith(f"spec.predictor.{path}")


DATA = {"name": "data", "mountPath": "/data/", "subPath": "all"}
DEEP = {"name": "deep", "mountPath": "/data/deep"}


@pytest.mark.parametrize(
    ("uri", "name", "path"),
    [
        pytest.param("file:///data/a/b", "data", {"subPath": "all/a/b"}, id="a-folder"),
        pytest.param("file:///data", "data", {"subPath": "all"}, id="all-of-it"),
        pytest.param("file:///data/deep/a", "deep", {"subPath": "a"}, id="the-closest"),
        pytest.param("file:///data/deep/", "deep", {}, id="all-of-the-closest"),
        pytest.param("file:///data/deeper", "data", {"subPath": "all/deeper"}, id="whole-steps"),
    ],
)
def test_a_path_is_mounted_from_the_volume_that_the_server_has_there(
    uri: str, name: str, path: Body
) -> None:
    env = [{"name": "STORAGE_URI", "value": uri}]
    box = builders.container(env=env, volumeMounts=[DEEP, DATA])
    given = [{"name": "data", "nfs": {}}, {"name": "deep", "hostPath": {}}]
    body = builders.inference_service(containers=[box], predictor={"volumes": given})
    pod = deployments.make(builders.wanted(body))["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    assert pod["volumes"] == given
    assert pod["containers"][0]["volumeMounts"] == [
        DEEP,
        DATA,
        {"name": name, "mountPath": "/mnt/models", "readOnly": True, **path},
    ]
    assert {"name": "STORAGE_URI", "value": "/mnt/models"} in pod["containers"][0]["env"]


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("file:///other/a", id="no-volume-there"),
        pytest.param("file:///", id="everything"),
        pytest.param("file://data/a", id="relative"),
        pytest.param("file:///data/../etc", id="up"),
        pytest.param("file:///data/deep/../../a", id="up-and-out"),
        pytest.param(f"file://{TOKEN}", id="the-token"),
    ],
)
def test_a_path_of_no_volume_is_refused(uri: str) -> None:
    box = builders.container(
        env=[{"name": "STORAGE_URI", "value": uri}], volumeMounts=[DATA, DEEP]
    )
    with pytest.raises(StalledError) as caught:
        deployments.make(builders.wanted(builders.inference_service(containers=[box])))
    assert caught.value.message.startswith(
        f"spec.predictor.containers[0].env[STORAGE_URI]: {uri!r} must be file:///PATH, with a path"
    )
