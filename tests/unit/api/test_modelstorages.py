from typing import Any

import pytest

from shoal.api import inferenceservices
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"storage": {"path": "a"}}, id="a-path-alone"),
        pytest.param({"storage": {"path": "", "key": "k"}}, id="the-whole-bucket"),
        pytest.param({"storage": {"key": "k"}, "storageUri": "s3://b/m"}, id="a-key-for-a-uri"),
        pytest.param({"storage": {"path": "a", "parameters": {"type": ""}}}, id="an-empty-type"),
        pytest.param({"storageUri": "pvc://c/m"}, id="no-storage"),
        pytest.param({"storageUri": "oci://r/m:1"}, id="an-image"),
        pytest.param({"storageUri": "oci+native://r/m@sha256:0"}, id="an-image-as-a-volume"),
    ],
)
def test_what_may_be_written(model: dict[str, Any]) -> None:
    service = inferenceservices.parse(builders.framework("onnx", model))
    assert inferenceservices.unsupported(service) == []


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(
            {"storage": {"path": "a"}, "storageUri": "s3://b/m"},
            ".path: is given beside storageUri; remove one of the two",
            id="two-addresses",
        ),
        pytest.param(
            {"storage": {"key": "k"}},
            ".path: must say where in the store the model is, or storageUri beside it must",
            id="no-address",
        ),
        pytest.param({"storage": {}}, ".path: must say where", id="nothing"),
        pytest.param(
            {"storage": {"key": "k"}, "storageUri": "pvc://c/m"},
            ": has no use for what is mounted; remove it",
            id="a-claim",
        ),
        pytest.param(
            {"storage": {"key": "k"}, "storageUri": "oci://r/m"},
            ": has no use for what is mounted; remove it",
            id="an-image",
        ),
        pytest.param(
            {"storage": {"path": "a", "parameters": {"secret_access_key": "hush"}}},
            ".parameters[secret_access_key]: is none of type, bucket, endpoint_url,",
            id="a-secret",
        ),
        pytest.param(
            {"storage": {"path": "a", "parameters": {"buckett": "b"}}},
            ".parameters[buckett]: is none of type, bucket, endpoint_url,",
            id="a-misspelt-one",
        ),
        pytest.param(
            {"storage": {"path": "a", "parameters": {"type": "x"}}},
            ".parameters[type]: storage type must be one of [s3, gs, ",
            id="another-type",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(StalledError) as caught:
        inferenceservices.parse(builders.framework("onnx", model))
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message.startswith(f"spec.predictor.onnx.storage{message}")
    assert "hush" not in caught.value.message


def test_a_type_that_others_may_fetch_is_refused_unless_they_do() -> None:
    model = {"storage": {"path": "a", "parameters": {"type": "hdfs"}}}
    service = inferenceservices.parse(builders.framework("onnx", model))
    (message,) = inferenceservices.unsupported(service)
    path = "spec.predictor.onnx.storage.parameters[type]: "
    assert message.startswith(f"{path}storage type [hdfs] is not fetched by this version")
    assert inferenceservices.unsupported(service, by_others=True) == []


def _many(*rows: tuple[str, str], **model: Any) -> dict[str, Any]:
    uris = [{"uri": uri, "mountPath": path} if path else {"uri": uri} for uri, path in rows]
    return builders.framework("onnx", model, predictor={"storageUris": uris})


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([("s3://b/m", "")], id="where-they-lie-usually"),
        pytest.param([("s3://b/m", "/mnt/a"), ("hf://o/m", "/mnt/a/b")], id="one-in-the-other"),
        pytest.param([("s3://b/m", "/mnt/a"), ("pvc://c", "/data")], id="a-claim-elsewhere"),
        pytest.param([("s3://b/m", "/mnt/a"), ("pvc://c", "/mnt/a/c")], id="a-claim-below"),
        pytest.param([("s3://b/m", "/mnt/a"), ("oci://r/m", "/mnt/a/c")], id="an-image-below"),
        pytest.param([(f"oci://r/m:{n}", f"/mnt/{n}") for n in range(10)], id="ten-images"),
    ],
)
def test_where_many_may_lie(rows: list[tuple[str, str]]) -> None:
    service = inferenceservices.parse(_many(*rows))
    assert inferenceservices.unsupported(service) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            _many(("s3://b/m", "mnt")),
            "[0].mountPath: must be an absolute path other than /",
            id="relative",
        ),
        pytest.param(
            _many(("s3://b/m", "/./")),
            "[0].mountPath: must be an absolute path other than /",
            id="everything",
        ),
        pytest.param(
            _many(("s3://b/m", "/mnt/../etc")), "[0].mountPath: must not contain ..", id="up"
        ),
        pytest.param(
            _many(("s3://b/m", "/mnt/a"), ("s3://b/n", "/data/b")),
            ": mount paths other than those of pvc:// must have a parent directory (not /) in",
            id="nothing-in-common",
        ),
        pytest.param(
            _many(("s3://b/m", ""), ("pvc://c", "/mnt//models/")),
            "[0].mountPath: /mnt/models is the folder of spec.predictor.storageUris[1] too; give"
            " each one of its own",
            id="twice",
        ),
        pytest.param(
            _many(("pvc://c", "/mnt/a"), ("s3://b/m", "/mnt/a/b")),
            "[1].mountPath: /mnt/a/b lies in the volume of spec.predictor.storageUris[0]; give it "
            "a folder outside",
            id="in-a-claim",
        ),
        pytest.param(
            _many(("oci://r/m", "/mnt/a"), ("oci+native://r/n", "/mnt/a/b")),
            "[1].mountPath: /mnt/a/b lies in the volume of spec.predictor.storageUris[0]",
            id="in-an-image",
        ),
        pytest.param(
            _many(*((f"oci://r/m:{n}", f"/mnt/{n}") for n in range(11))),
            ": at most 10 of the addresses may be those of images (oci://)",
            id="eleven-images",
        ),
        pytest.param(
            _many(("s3://b/m", ""), ("oci+fetch://r/m", "/mnt/b")),
            "[1].uri: images are mounted, never fetched, by this version; write oci:// in place"
            " of oci+fetch://",
            id="a-fetched-image",
        ),
        pytest.param(
            _many(("s3://b/m", ""), storageUri="s3://b/n"),
            ": Setting both StorageURI and StorageURIs is not supported.",
            id="one-and-many",
        ),
    ],
)
def test_where_many_may_not_lie(body: dict[str, Any], message: str) -> None:
    with pytest.raises(StalledError) as caught:
        inferenceservices.parse(body)
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message.startswith(f"spec.predictor.storageUris{message}")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(
            builders.framework("onnx", {"storageUri": "oci+fetch://r/m"}),
            "spec.predictor.onnx.storageUri",
            id="of-a-format",
        ),
        pytest.param(
            builders.inference_service(
                containers=[
                    builders.container(env=[{"name": "STORAGE_URI", "value": "oci+fetch://r/m"}])
                ]
            ),
            "spec.predictor.containers[0].env[STORAGE_URI]",
            id="of-ones-own-container",
        ),
    ],
)
def test_an_image_is_never_fetched(body: dict[str, Any], field: str) -> None:
    with pytest.raises(StalledError) as caught:
        inferenceservices.parse(body)
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message.startswith(f"{field}: images are mounted, never fetched")


def test_many_have_no_entry_of_their_own() -> None:
    body = _many(("s3://b/m", ""), storage={"key": "k"})
    with pytest.raises(StalledError, match=r"^spec\.predictor\.onnx\.storage: is given beside"):
        inferenceservices.parse(body)
