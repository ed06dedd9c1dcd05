"""With the runtimes that upstream ships, the effective choice is upstream's (contract §3.7).

So it is with those of the chart, which has them beside ours. Hosts of many models are where both
differ from upstream: they go to servers that load models while they run.
"""

from pathlib import Path

import pytest
import yaml

from shoal.api import inferenceservices, servingruntimes
from shoal.api.servingruntimes import Runtime
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes.servers import Server
from support import builders, manifests
from support.builders import Body

TESTS = Path(__file__).parents[2]
UPSTREAMS = manifests.read(TESTS / "integration" / "data" / "runtimes.yaml")
CHARTS = manifests.read(TESTS / "golden" / "runtimes.yaml")
URI = {"storageUri": "gs://models/iris"}


def _parsed(bodies: list[Body]) -> list[Runtime]:
    kind = servingruntimes.CLUSTER_KIND
    return [servingruntimes.parse(body) for body in bodies if body["kind"] == kind]


RUNTIMES = {"upstreams": _parsed(UPSTREAMS), "charts": _parsed(CHARTS)}
OURS = [one for one in RUNTIMES["charts"] if one.name in ("kserve-mlserver", "shoal-kserve-sdk")]


def _resolve(
    predictor: Body, runtimes: list[Runtime] | None = None, deployment: Body | None = None
) -> Server:
    body = builders.inference_service("iris") | {"spec": {"predictor": predictor}}
    service = inferenceservices.parse(body)
    found = RUNTIMES["upstreams"] if runtimes is None else runtimes
    return builders.server(service, *found, deployment=deployment)


def _chosen(server: Server) -> tuple[str, str]:
    assert server.pin is not None
    return server.pin.name, server.protocol


def _model(name: str, **given: str) -> Body:
    return {"model": {"modelFormat": {"name": name}, **URI, **given}}


def _key(name: str, **given: str) -> Body:
    return {name: {**URI, **given}}


@pytest.mark.parametrize("whose", RUNTIMES)
@pytest.mark.parametrize(
    ("predictor", "runtime", "protocol"),
    [
        (_key("sklearn"), "kserve-sklearnserver", "v1"),
        (_key("xgboost"), "kserve-xgbserver", "v1"),
        (_key("lightgbm"), "kserve-lgbserver", "v1"),
        (_key("pmml"), "kserve-pmmlserver", "v1"),
        (_key("paddle"), "kserve-paddleserver", "v1"),
        (_key("tensorflow"), "kserve-tensorflow-serving", "v1"),
        (_key("pytorch"), "kserve-torchserve", "v1"),
        (_key("triton"), "kserve-tritonserver", "v2"),
        (_key("onnx"), "kserve-tritonserver", "v2"),
        (_key("huggingface"), "kserve-huggingfaceserver", "v2"),
        (_model("sklearn"), "kserve-sklearnserver", "v1"),
        (_model("xgboost"), "kserve-xgbserver", "v1"),
        (_model("lightgbm"), "kserve-lgbserver", "v1"),
        (_model("pmml"), "kserve-pmmlserver", "v1"),
        (_model("paddle"), "kserve-paddleserver", "v1"),
        (_model("tensorflow"), "kserve-tensorflow-serving", "v1"),
        (_model("pytorch"), "kserve-torchserve", "v1"),
        (_model("triton"), "kserve-tritonserver", "v2"),
        (_model("onnx"), "kserve-tritonserver", "v2"),
        (_model("huggingface"), "kserve-huggingfaceserver", "v1"),
        (_model("huggingface", protocolVersion="v2"), "kserve-huggingfaceserver", "v2"),
        (_model("autogluon"), "kserve-autogluonserver", "v1"),
        (_model("vLLM"), "kserve-vllmserver", "v2"),
        (_model("tensorrt"), "kserve-tritonserver", "v2"),
        (_model("mlflow"), "kserve-mlserver", "v2"),
        (_key("sklearn", protocolVersion="v2"), "kserve-mlserver", "v2"),
        (_key("sklearn", ProtocolVersion="v2"), "kserve-mlserver", "v2"),
        (_key("xgboost", protocolVersion="v2"), "kserve-mlserver", "v2"),
        (_key("lightgbm", protocolVersion="v2"), "kserve-mlserver", "v2"),
        (_key("tensorflow", protocolVersion="v2"), "kserve-tritonserver", "v2"),
        (_key("tensorflow", protocolVersion="grpc-v1"), "kserve-tensorflow-serving", "grpc-v1"),
        (_key("pytorch", protocolVersion="grpc-v2"), "kserve-torchserve", "grpc-v2"),
        (_model("xgboost", runtime="kserve-predictiveserver"), "kserve-predictiveserver", "v1"),
        (_model("pytorch", runtime="kserve-tritonserver"), "kserve-tritonserver", "v2"),
        ({"huggingface": {}}, "kserve-huggingfaceserver", "v2"),
        ({"model": {"modelFormat": {"name": "vLLM"}}}, "kserve-vllmserver", "v2"),
    ],
    ids=yaml.safe_dump,
)
def test_choice_for_one_model(predictor: Body, runtime: str, protocol: str, whose: str) -> None:
    made = _resolve(predictor, RUNTIMES[whose])
    assert _chosen(made) == (runtime, protocol)
    assert made.holds_one
    assert not made.takes_models


@pytest.mark.parametrize("whose", RUNTIMES)
@pytest.mark.parametrize(
    ("predictor", "runtime", "protocol"),
    [
        ({"sklearn": {}}, "kserve-mlserver", "v2"),
        ({"xgboost": {}}, "kserve-mlserver", "v2"),
        ({"lightgbm": {}}, "kserve-mlserver", "v2"),
        ({"triton": {}}, "kserve-tritonserver", "v2"),
        ({"onnx": {}}, "kserve-tritonserver", "v2"),
        ({"tensorflow": {}}, "kserve-tritonserver", "v2"),
        ({"sklearn": {"protocolVersion": "v2"}}, "kserve-mlserver", "v2"),
        ({"sklearn": {"protocolVersion": "v1"}}, "kserve-sklearnserver", "v1"),
        ({"xgboost": {"protocolVersion": "v1"}}, "kserve-xgbserver", "v1"),
        ({"lightgbm": {"protocolVersion": "v1"}}, "kserve-lgbserver", "v1"),
    ],
    ids=yaml.safe_dump,
)
def test_choice_for_a_host_of_many(
    predictor: Body, runtime: str, protocol: str, whose: str
) -> None:
    made = _resolve(predictor, RUNTIMES[whose])
    assert _chosen(made) == (runtime, protocol)
    assert made.takes_models
    assert not made.holds_one


def test_without_ours_a_host_goes_to_upstreams_server() -> None:
    others = [one for one in RUNTIMES["upstreams"] if one.name != "kserve-mlserver"]
    assert _chosen(_resolve({"sklearn": {}}, others)) == ("kserve-sklearnserver", "v1")


@pytest.mark.parametrize("key", ["pmml", "paddle", "pytorch"])
def test_a_host_is_not_put_on_a_server_that_holds_one(key: str) -> None:
    with pytest.raises(StalledError) as error:
        _resolve({key: {}})
    assert error.value.reason == Reason.NO_SUPPORTING_RUNTIME
    assert error.value.message.startswith(
        "No runtime found to support specified framework/version:"
        f" spec.predictor.{key}: format {key} is served by ClusterServingRuntime kserve-"
    )
    assert error.value.message.endswith("write the storageUri of its model")


def test_a_host_that_names_such_a_server_has_it_and_takes_no_models() -> None:
    made = _resolve(
        {"model": {"modelFormat": {"name": "pytorch"}, "runtime": "kserve-torchserve"}}
    )
    assert _chosen(made) == ("kserve-torchserve", "v1")
    assert (made.holds_one, made.takes_models) == (True, False)


@pytest.mark.parametrize("predictor", [_key("sklearn"), {"sklearn": {}}], ids=["one", "host"])
def test_more_runtimes_move_nobody(predictor: Body) -> None:
    before = _resolve(predictor, OURS)
    assert before.pin is not None
    assert before.pin.name == "kserve-mlserver"
    deployment = builders.deployment(annotations=before.pin.encode())
    after = _resolve(predictor, RUNTIMES["charts"], deployment)
    assert after == before


def test_placeholders_of_all_of_them_are_filled() -> None:
    for runtime in RUNTIMES["upstreams"]:
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
    assert _chosen(made) == ("kserve-huggingfaceserver-multinode", "v2")
    with pytest.raises(StalledError, match="No runtime found to support"):
        _resolve({"sklearn": {}, "workerSpec": {"containers": []}})
