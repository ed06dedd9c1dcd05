"""Which way a model in an image comes, what its volume is, and what is refused."""

from typing import Any

import pytest

from shoal.api import inferenceservices
from shoal.desired import children, deployments
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders
from support.builders import Body

OCI = "oci://registry.example.com/iris:1"
NATIVE = "oci+native://registry.example.com/iris:1"
VOLUME = {
    "name": "kserve-oci-source",
    "image": {"reference": "registry.example.com/iris:1"},
}
MOUNT = {
    "name": "kserve-oci-source",
    "mountPath": "/mnt/models",
    "readOnly": True,
    "subPath": "models",
}
FIELD = "spec.predictor.containers[0].env[STORAGE_URI]"


def _own(uri: str = OCI, **meta: Any) -> Body:
    box = builders.container(env=[{"name": "STORAGE_URI", "value": uri}])
    body = builders.inference_service(containers=[box])
    body["metadata"].update(meta)
    return body


def _many(*rows: tuple[str, str]) -> Body:
    uris = [{"uri": uri, "mountPath": path} for uri, path in rows]
    return builders.inference_service(predictor={"storageUris": uris})


def _deployment(body: Body, version: tuple[int, int], config: Body, **given: Any) -> Body:
    wanted = builders.wanted(body, {"storageInitializer": config}, kubernetes=version, **given)
    return deployments.make(wanted)


def _pod(body: Body, version: tuple[int, int] = (1, 35), **config: Any) -> Any:
    return _deployment(body, version, config)["spec"]["template"]["spec"]


def _is_native(pod: Body) -> bool:
    """Tell which of the two it is; neither is both."""
    cars = [box["name"] for box in pod.get("initContainers") or ()]
    assert cars in ([], ["modelcar"])
    return not cars


@pytest.mark.parametrize("uri", [OCI, NATIVE])
def test_an_image_is_a_volume_of_which_the_server_sees_the_models_folder(uri: str) -> None:
    pod = _pod(_own(uri))
    assert pod["volumes"] == [VOLUME]
    assert pod["containers"][0]["volumeMounts"] == [MOUNT]
    assert {"name": "STORAGE_URI", "value": "/mnt/models"} in pod["containers"][0]["env"]
    assert "initContainers" not in pod
    assert "shareProcessNamespace" not in pod
    assert "securityContext" not in pod["containers"][0]
    wanted = builders.wanted(_own(uri), kubernetes=(1, 35))
    assert "Role" not in [child["kind"] for child in children.make(wanted)]


@pytest.mark.parametrize(
    ("uri", "version", "config", "is_native"),
    [
        pytest.param(OCI, (1, 34), {}, False, id="modelcar-by-itself"),
        pytest.param(OCI, (1, 35), {}, True, id="native-by-itself"),
        pytest.param(OCI, (2, 0), {}, True, id="native-in-a-far-future"),
        pytest.param(OCI, (1, 36), {"ociModelMode": "modelcar"}, False, id="modelcar-as-told"),
        pytest.param(OCI, (1, 33), {"ociModelMode": "native"}, True, id="native-as-told"),
        pytest.param(
            OCI,
            (1, 29),
            {"ociModelMode": "modelcar", "enableModelcar": False},
            False,
            id="the-mode-is-stronger-than-the-switch",
        ),
        pytest.param(
            OCI,
            (1, 35),
            {"enableModelcar": False, "enableOciModelSupport": True},
            True,
            id="anything-but-modelcar",
        ),
        pytest.param(NATIVE, (1, 33), {}, True, id="native-by-its-address"),
        pytest.param(
            NATIVE,
            (1, 33),
            {"ociModelMode": "modelcar", "enableModelcar": False},
            True,
            id="the-address-is-the-strongest",
        ),
    ],
)
def test_the_mode(uri: str, version: tuple[int, int], config: Body, *, is_native: bool) -> None:
    assert _is_native(_pod(_own(uri), version, **config)) is is_native


@pytest.mark.parametrize("body", [_own(), _many((OCI, "/mnt/models/a"))], ids=["one", "many"])
def test_an_upgrade_of_the_cluster_leaves_pods_as_they_are(body: Body) -> None:
    before = _deployment(body, (1, 34), {})
    after = _deployment(body, (1, 35), {}, deployment=before)
    assert after["spec"]["template"] == before["spec"]["template"]
    native = _deployment(body, (1, 34), {"ociModelMode": "native"})
    kept = _deployment(body, (1, 34), {}, deployment=native)
    assert kept["spec"]["template"] == native["spec"]["template"]


def test_pods_that_may_not_stay_as_they_are_do_not() -> None:
    before = _deployment(_own(), (1, 34), {})
    config = {"enableModelcar": False, "enableOciModelSupport": True}
    after = _deployment(_own(), (1, 35), config, deployment=before)
    assert _is_native(after["spec"]["template"]["spec"])


def test_several_are_volumes_of_their_own_beside_others() -> None:
    rows = [("s3://b/m", "/mnt/models"), (OCI, "/mnt/models/a"), (NATIVE, "/mnt/b")]
    pod = _pod(_many(*rows))
    assert [row["name"] for row in pod["volumes"]][:3] == ["mnt-models", "mnt-models-a", "mnt-b"]
    places = [
        (row["mountPath"], row.get("subPath")) for row in pod["containers"][0]["volumeMounts"]
    ]
    assert places == [
        ("/mnt/models", None),
        ("/mnt/models/a", "models"),
        ("/mnt/b", "models"),
    ]
    (init,) = pod["initContainers"]
    assert init["args"] == ["fetch", "s3://b/m", "/mnt/models"]
    assert "/mnt/models/a" in [row["mountPath"] for row in init["volumeMounts"]]


@pytest.mark.parametrize(
    ("body", "version", "config", "reason", "message"),
    [
        pytest.param(
            _own("oci://"),
            (1, 35),
            {},
            Reason.INVALID_SPEC,
            "'oci://' is not of the form oci://IMAGE",
            id="no-image",
        ),
        pytest.param(
            _own("oci://a b"),
            (1, 35),
            {},
            Reason.INVALID_SPEC,
            "'oci://a b' is not of the form oci://IMAGE",
            id="no-reference",
        ),
        pytest.param(
            _own(NATIVE),
            (1, 32),
            {},
            Reason.NOT_SUPPORTED,
            "an image can be a volume from Kubernetes 1.33 on, and the API server is 1.32;"
            " write oci:// with ociModelMode modelcar in the configuration (storageInitializer)",
            id="native-too-early",
        ),
        pytest.param(
            _own(),
            (1, 32),
            {"ociModelMode": "native"},
            Reason.NOT_SUPPORTED,
            "an image can be a volume from Kubernetes 1.33 on",
            id="native-as-told-too-early",
        ),
        pytest.param(
            _own(),
            (1, 35),
            {"enableModelcar": False},
            Reason.NOT_SUPPORTED,
            "oci:// is switched off by enableModelcar in the configuration (storageInitializer);"
            " set ociModelMode there, or write oci+native://",
            id="switched-off",
        ),
        pytest.param(
            _own(),
            (1, 34),
            {"enableModelcar": False, "enableOciModelSupport": True},
            Reason.NOT_SUPPORTED,
            "images are volumes without being asked for from Kubernetes 1.35 on, and the API"
            " server is 1.34; set enableModelcar or ociModelMode",
            id="nothing-is-left",
        ),
        pytest.param(
            _own(annotations={"storage.kserve.io/readonly": "false"}),
            (1, 35),
            {},
            Reason.INVALID_SPEC,
            "what is in an image can only be read; remove the annotation"
            ' storage.kserve.io/readonly: "false"',
            id="writing",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    body: Body, version: tuple[int, int], config: Body, reason: Reason, message: str
) -> None:
    with pytest.raises(StalledError) as caught:
        _pod(body, version, **config)
    assert caught.value.reason is reason
    assert caught.value.message.startswith(f"{FIELD}: {message}")


def test_the_field_of_one_of_many_is_named() -> None:
    with pytest.raises(StalledError, match=r"^spec\.predictor\.storageUris\[1\]\.uri: 'oci://'"):
        _pod(_many(("s3://b/m", "/mnt/a"), ("oci://", "/mnt/b")))


def test_a_readers_annotation_may_say_that_it_only_reads() -> None:
    body = _own(annotations={"storage.kserve.io/readonly": "true"})
    assert _pod(body)["containers"][0]["volumeMounts"] == [MOUNT]


def test_an_image_is_no_host_of_many() -> None:
    service = inferenceservices.parse(builders.framework("sklearn", {"storageUri": OCI}))
    assert inferenceservices.unsupported(service) == []
    assert not builders.server(service, builders.runtime("sklearn")).takes_models
