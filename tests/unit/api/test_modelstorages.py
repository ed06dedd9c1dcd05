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
            ": has no use for a claim, which is mounted; remove it",
            id="a-claim",
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
            {"storage": {"path": "a", "parameters": {"type": "hdfs"}}},
            ".parameters[type]: storage type [hdfs] is not fetched by this version",
            id="hdfs",
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
