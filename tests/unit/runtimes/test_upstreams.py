"""With the runtimes that upstream ships, the effective choice is upstream's (contract §3.7)."""

from pathlib import Path

import pytest
import yaml

from shoal.api import inferenceservices, servingruntimes
from shoal.errors import StalledError
from shoal.runtimes.servers import Server
from support import builders, manifests
from support.builders import Body

DATA = Path(__file__).parents[2] / "integration" / "data" / "runtimes.yaml"
RUNTIMES = [
    servingruntimes.parse(body)
    for body in manifests.read(DATA)
    if body["kind"] == servingruntimes.CLUSTER_KIND
]


def _resolve(predictor: Body) -> Server:
    body = builders.inference_service("iris") | {"spec": {"predictor": predictor}}
    return builders.server(inferenceservices.parse(body), *RUNTIMES)


def _model(name: str, **given: str) -> Body:
    return {"model": {"modelFormat": {"name": name}, **given}}


@pytest.mark.parametrize(
    ("predictor", "runtime", "protocol"),
    [
        ({"sklearn": {}}, "kserve-sklearnserver", "v1"),
        ({"xgboost": {}}, "kserve-xgbserver", "v1"),
        ({"lightgbm": {}}, "kserve-lgbserver", "v1"),
        ({"pmml": {}}, "kserve-pmmlserver", "v1"),
        ({"paddle": {}}, "kserve-paddleserver", "v1"),
        ({"tensorflow": {}}, "kserve-tensorflow-serving", "v1"),
        ({"pytorch": {}}, "kserve-torchserve", "v1"),
        ({"triton": {}}, "kserve-tritonserver", "v2"),
        ({"onnx": {}}, "kserve-tritonserver", "v2"),
        ({"huggingface": {}}, "kserve-huggingfaceserver", "v2"),
        (_model("autogluon"), "kserve-autogluonserver", "v1"),
        (_model("vLLM"), "kserve-vllmserver", "v2"),
        (_model("tensorrt"), "kserve-tritonserver", "v2"),
        (_model("mlflow"), "kserve-mlserver", "v2"),
        ({"sklearn": {"protocolVersion": "v2"}}, "kserve-mlserver", "v2"),
        ({"xgboost": {"protocolVersion": "v2"}}, "kserve-mlserver", "v2"),
        ({"lightgbm": {"protocolVersion": "v2"}}, "kserve-mlserver", "v2"),
        ({"tensorflow": {"protocolVersion": "v2"}}, "kserve-tritonserver", "v2"),
        (_model("xgboost", runtime="kserve-predictiveserver"), "kserve-predictiveserver", "v1"),
        (_model("pytorch", runtime="kserve-tritonserver"), "kserve-tritonserver", "v2"),
    ],
    ids=yaml.safe_dump,
)
def test_choice(predictor: Body, runtime: str, protocol: str) -> None:
    made = _resolve(predictor)
    assert made.pin is not None
    assert (made.pin.name, made.protocol) == (runtime, protocol)


def test_placeholders_of_all_of_them_are_filled() -> None:
    for runtime in RUNTIMES:
        format_ = (runtime.spec.supported_model_formats or [])[0].name
        made = _resolve(_model(format_, runtime=runtime.name))
        assert "{{" not in repr(made.container), runtime.name


def test_the_predictive_server_is_told_the_format() -> None:
    args = _resolve(_model("xgboost", runtime="kserve-predictiveserver")).container["args"]
    assert args[0] == "--model_name=iris"
    assert "--framework=xgboost" in args


def test_mlserver_as_upstream_ships_it_begins_empty() -> None:
    made = _resolve({"sklearn": {"protocolVersion": "v2"}})
    env = {row["name"]: row["value"] for row in made.container["env"]}
    assert env == {
        "MLSERVER_HTTP_PORT": "8080",
        "MLSERVER_GRPC_PORT": "9000",
        "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
    }


def test_a_server_of_several_nodes_is_not_chosen_for_one() -> None:
    made = _resolve({"huggingface": {}, "workerSpec": {"containers": []}})
    assert made.pin is not None
    assert made.pin.name == "kserve-huggingfaceserver-multinode"
    with pytest.raises(StalledError, match="No runtime found to support"):
        _resolve({"sklearn": {}, "workerSpec": {"containers": []}})
