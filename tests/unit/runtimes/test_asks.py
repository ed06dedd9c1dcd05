"""What a key of a format asks for, row by row of the contract's §3.1."""

from typing import Any

import pytest
import yaml

from shoal.api import inferenceservices
from shoal.api.predictors import Predictor
from shoal.runtimes import asks
from shoal.runtimes.asks import Ask
from support import builders
from support.builders import Body

URI = {"storageUri": "gs://models/m"}
GIVEN: Body = {
    "storageUri": "gs://models/m",
    "runtimeVersion": "1",
    "env": [{"name": "A", "value": "b"}],
    "resources": {"limits": {"memory": "1Gi"}},
}


def _predictor(predictor: Body) -> Predictor:
    body = builders.inference_service() | {"spec": {"predictor": predictor}}
    return inferenceservices.parse(body).predictor


def _ask(predictor: Body) -> Ask:
    found = asks.of(_predictor(predictor))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("key", "protocol"),
    [
        ("sklearn", ""),
        ("tensorflow", ""),
        ("xgboost", ""),
        ("pytorch", ""),
        ("triton", "v2"),
        ("onnx", "v2"),
        ("huggingface", "v2"),
        ("pmml", ""),
        ("lightgbm", ""),
        ("paddle", ""),
    ],
)
def test_an_old_key_is_a_model_of_that_format(key: str, protocol: str) -> None:
    made = _ask({key: GIVEN})
    assert (made.format, made.version, made.runtime, made.protocol) == (key, "", "", protocol)
    assert (made.path, made.spec.storage_uri) == (f"spec.predictor.{key}", "gs://models/m")
    assert made.spec.runtime_version == "1"
    assert made.spec.container == {"env": GIVEN["env"], "resources": GIVEN["resources"]}


@pytest.mark.parametrize(
    ("format_", "protocol"),
    [
        ("triton", "v2"),
        ("vLLM", "v2"),
        ("onnx", ""),
        ("huggingface", ""),
        ("sklearn", ""),
        ("Triton", ""),
    ],
)
def test_the_protocol_of_a_model_that_says_none(format_: str, protocol: str) -> None:
    assert _ask({"model": {"modelFormat": {"name": format_}, **URI}}).protocol == protocol


@pytest.mark.parametrize(
    "spec",
    [{"protocolVersion": "grpc-v2"}, {"ProtocolVersion": "grpc-v2"}],
    ids=["protocolVersion", "ProtocolVersion"],
)
@pytest.mark.parametrize("key", ["sklearn", "triton"])
def test_the_protocol_that_is_given_counts(key: str, spec: Body) -> None:
    assert _ask({key: spec}).protocol == "grpc-v2"
    model = {"modelFormat": {"name": key}, **spec}
    assert _ask({"model": model}).protocol == "grpc-v2"


def test_a_model_says_version_and_runtime_too() -> None:
    model = {"modelFormat": {"name": "sklearn", "version": "1"}, "runtime": "mine", **URI}
    made = _ask({"model": model})
    assert (made.path, made.format, made.version) == ("spec.predictor.model", "sklearn", "1")
    assert made.runtime == "mine"


@pytest.mark.parametrize(
    ("predictor", "is_host"),
    [
        ({"sklearn": {}}, True),
        ({"sklearn": URI}, False),
        ({"sklearn": {"storage": {"path": "a"}}}, False),
        ({"model": {"modelFormat": {"name": "onnx"}}}, True),
        ({"model": {"modelFormat": {"name": "onnx"}}, "storageUris": [{"uri": "s3://a"}]}, False),
        ({"huggingface": {}}, False),
        ({"model": {"modelFormat": {"name": "huggingface"}}}, False),
        ({"model": {"modelFormat": {"name": "vLLM"}}}, False),
    ],
    ids=yaml.safe_dump,
)
def test_without_storage_a_server_is_a_host(predictor: dict[str, Any], *, is_host: bool) -> None:
    assert _ask(predictor).is_host is is_host


def test_containers_of_ones_own_ask_for_no_runtime() -> None:
    assert asks.of(_predictor({"containers": [builders.container()]})) is None
