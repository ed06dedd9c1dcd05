"""The server of a predictor: the user's own containers, or a runtime's with the user's fields."""

from typing import Any

import pytest

from shoal import names
from shoal.api import inferenceservices
from shoal.api.servingruntimes import Runtime
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import pins, servers
from shoal.runtimes.servers import Server
from support import builders
from support.builders import Body

MAIN = {"name": "kserve-container", "image": "localhost/server:1"}
URI = {"storageUri": "s3://b/m"}
ENVELOPE = "{{.Labels.serviceEnvelope}}"


def _resolve(
    predictor: Body, *runtimes: Runtime, deployment: Body | None = None, **meta: Any
) -> Server:
    body = builders.inference_service("iris", **meta) | {"spec": {"predictor": predictor}}
    service = inferenceservices.parse(body)
    return builders.server(service, *runtimes, deployment=deployment)


def _runtime(*containers: Body, server_type: str = "", **spec: Any) -> Runtime:
    annotations = {names.SERVER_TYPE_ANNOTATION: server_type} if server_type else {}
    boxes = list(containers) or [MAIN]
    meta = {"annotations": annotations}
    return builders.runtime("sklearn", name="mine", containers=boxes, metadata=meta, **spec)


def _env(server: Server) -> dict[str, str]:
    return {row["name"]: row.get("value", "") for row in server.container.get("env") or []}


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        pytest.param(None, "v2", id="v2-where-nothing-is-said"),
        pytest.param([{"name": "OTHER", "value": "v1"}], "v2", id="another-variable"),
        pytest.param([{"name": "PROTOCOL", "value": "v1"}], "v1", id="v1"),
        pytest.param([{"name": "PROTOCOL", "value": "v2"}], "v2", id="v2"),
        pytest.param(
            [{"name": "PROTOCOL", "value": "v1"}, {"name": "PROTOCOL", "value": "v2"}],
            "v2",
            id="the-last-one-counts",
        ),
    ],
)
def test_protocol_of_a_container_of_ones_own(env: list[Body] | None, expected: str) -> None:
    boxes = [builders.container(env=env)]
    assert _resolve({"containers": boxes}).protocol == expected
    service = inferenceservices.parse(builders.inference_service(containers=boxes))
    assert servers.known_protocol(service, None) == expected


def test_protocol_of_a_runtime_is_known_from_the_record() -> None:
    service = inferenceservices.parse(builders.framework("sklearn"))
    record = pins.Pin("ServingRuntime", "mine", "digest", "v1").encode()
    assert servers.known_protocol(service, builders.deployment(annotations=record)) == "v1"
    assert servers.known_protocol(service, None) == ""


def test_an_own_container_is_taken_as_it_is() -> None:
    boxes = [builders.container("side"), builders.container()]
    made = _resolve({"containers": boxes, "nodeSelector": {"a": "b"}})
    assert made.containers == tuple(boxes)
    assert made.container["name"] == "kserve-container"
    assert made.path == "spec.predictor.containers[1]"
    assert made.pod == {"nodeSelector": {"a": "b"}}
    assert made.pin is None


@pytest.mark.parametrize(
    "predictor",
    [
        pytest.param({"sklearn": {"storageUri": "s3://b/m"}}, id="by-its-address"),
        pytest.param({"sklearn": {"storage": {"path": "m"}}}, id="by-its-path"),
        pytest.param({"sklearn": {}, "storageUris": [{"uri": "s3://b/m"}]}, id="by-a-list"),
    ],
)
def test_mlserver_is_told_of_the_one_model(predictor: Body) -> None:
    base = {**MAIN, "env": [{"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "a.Class"}]}
    made = _resolve(predictor, _runtime(base, server_type="mlserver"))
    assert _env(made) == {
        "MLSERVER_MODEL_IMPLEMENTATION": "a.Class",
        "MLSERVER_MODEL_NAME": "iris",
        "MLSERVER_MODEL_URI": "/mnt/models",
        "MLSERVER_LOAD_MODELS_AT_STARTUP": "true",
    }


def test_the_users_own_variables_win() -> None:
    env = [{"name": "MLSERVER_MODEL_NAME", "value": "flowers"}]
    predictor = {"sklearn": {"storageUri": "s3://b/m", "env": env}}
    made = _resolve(predictor, _runtime(server_type="mlserver"))
    assert _env(made)["MLSERVER_MODEL_NAME"] == "flowers"


def test_our_server_on_the_sdk_is_told_of_the_one_model() -> None:
    predictor = {"sklearn": {"storageUri": "s3://b/m"}}
    made = _resolve(predictor, _runtime(server_type="kserve-sdk"))
    assert made.container["args"] == ["--model_name=iris"]


def test_triton_with_a_model_begins_with_all_that_is_there() -> None:
    predictor = {"sklearn": {"storageUri": "s3://b/m"}}
    made = _resolve(predictor, _runtime(server_type="tritonserver"))
    assert "args" not in made.container


@pytest.mark.parametrize("server_type", ["mlserver", "tritonserver"])
def test_a_server_of_one_model_is_ready_when_that_is_loaded(server_type: str) -> None:
    predictor = {"sklearn": {"storageUri": "s3://b/m"}}
    made = _resolve(predictor, _runtime(server_type=server_type))
    expected = {"path": "/v2/health/ready", "port": 8080}
    assert made.container["readinessProbe"]["httpGet"] == expected
    own = {"tcpSocket": {"port": 1}}
    made = _resolve(
        {"sklearn": {**predictor["sklearn"], "readinessProbe": own}},
        _runtime(server_type=server_type),
    )
    assert made.container["readinessProbe"] == own


def test_of_containers_without_a_known_name_the_first_serves() -> None:
    made = _resolve({"containers": [builders.container("a"), builders.container("b")]})
    assert made.container["name"] == "a"


def test_a_predictor_without_anything_is_refused() -> None:
    service = inferenceservices.parse(builders.inference_service())
    service.spec.predictor.model_extra["containers"] = []  # type: ignore[index]  # as parsed
    with pytest.raises(StalledError, match=r"spec\.predictor\.containers: there is none") as error:
        servers.resolve(service, "digest", [], None)
    assert error.value.reason == Reason.INVALID_PREDICTOR_SPEC


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        (None, 8080),
        ([{"containerPort": 1}], 1),
        ([{"containerPort": 9000, "name": "grpc"}, {"containerPort": 8000}], 8000),
        ([{"containerPort": 9000, "name": "h2c"}], 9000),
    ],
    ids=["none", "the-first", "not-grpcs", "unless-there-is-no-other"],
)
def test_server_port(ports: list[Body] | None, port: int) -> None:
    assert servers.server_port({"ports": ports}) == port


@pytest.mark.weakness("C30")
def test_labels_annotations_and_pod_are_the_runtimes_below_the_users() -> None:
    runtime = _runtime(
        labels={"tier": "gold"},
        annotations={"a": "b"},
        nodeSelector={"disk": "ssd"},
        hostIPC=True,
    )
    made = _resolve({"sklearn": {}, "nodeSelector": {"gpu": "yes"}}, runtime)
    assert (made.labels, made.annotations) == ({"tier": "gold"}, {"a": "b"})
    assert made.pod == {"nodeSelector": {"disk": "ssd", "gpu": "yes"}, "hostIPC": True}
    assert made.path == "spec.predictor.sklearn"
    assert made.takes_models


def test_containers_come_in_upstreams_order() -> None:
    runtime = _runtime(
        {"name": "helper", "args": ["{{.Name}}"]},
        {"name": "transformer-container", "args": ["{{.Name}}"], "image": "a"},
        MAIN,
        {"name": "shared", "image": "a"},
    )
    own = [{"name": "mine"}, {"name": "shared", "image": "b"}, {"name": "transformer-container"}]
    made = _resolve({"sklearn": {}, "containers": own}, runtime)
    assert [(box["name"], box.get("image")) for box in made.containers] == [
        ("kserve-container", "localhost/server:1"),
        ("transformer-container", "a"),
        ("helper", None),
        ("shared", "b"),
        ("mine", None),
    ]
    assert made.containers[1]["args"] == ["iris"]
    assert made.containers[2]["args"] == ["{{.Name}}"]


def test_the_users_own_transformer_has_placeholders_too() -> None:
    own = [{"name": "transformer-container", "args": ["{{.Namespace}}"]}]
    made = _resolve({"sklearn": {}, "containers": own}, _runtime())
    assert made.containers[1]["args"] == ["default"]


@pytest.mark.parametrize(
    ("containers", "words"),
    [
        ([{"name": "other"}], "failed to find kserve-container in ServingRuntime containers"),
        (
            [{**MAIN, "args": ["{{.Spec.X}}"]}],
            "failed to replace placeholders in serving runtime mine Container kserve-container",
        ),
        (
            [{**MAIN, "resources": {"limits": {"cpu": "x"}}}],
            "failed to merge container. Detail: spec.predictor.sklearn over ClusterServingRuntime",
        ),
    ],
    ids=["no-server", "placeholder", "quantity"],
)
def test_a_runtime_that_makes_no_server_is_refused(containers: list[Body], words: str) -> None:
    given = {"sklearn": {"resources": {"requests": {"cpu": "1"}}}}
    with pytest.raises(StalledError) as error:
        _resolve(given, _runtime(*containers))
    assert error.value.reason == Reason.INVALID_PREDICTOR_SPEC
    assert error.value.message.startswith(words)


def test_a_runtime_without_containers_is_refused() -> None:
    runtime = builders.runtime("sklearn", containers=[])
    with pytest.raises(StalledError, match="no container configuration found in selected"):
        _resolve({"sklearn": {}}, runtime)


def test_the_version_is_of_the_users_image_too() -> None:
    made = _resolve({"sklearn": {"runtimeVersion": "9", "image": "localhost/own:1"}}, _runtime())
    assert made.container["image"] == "localhost/own:9"


def test_the_image_is_the_one_for_the_hardware() -> None:
    given = {**URI, "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    made = _resolve({"sklearn": given}, _runtime(server_type="torchserve"))
    assert made.container["image"] == "localhost/server:1-gpu"


def test_a_container_without_an_image_stays_so() -> None:
    made = _resolve({"sklearn": {"runtimeVersion": "9"}}, _runtime({"name": "kserve-container"}))
    assert "image" not in made.container


@pytest.mark.parametrize(
    ("protocol", "envelope"),
    [("v1", "kserve"), ("v2", "kservev2"), ("grpc-v2", "kservev2")],
)
def test_torchserve_is_told_its_protocol(protocol: str, envelope: str) -> None:
    base = {**MAIN, "env": [{"name": "TS_SERVICE_ENVELOPE", "value": ENVELOPE}]}
    runtime = _runtime(base, server_type="torchserve", protocolVersions=["grpc-v2", "v2", "v1"])
    wanted = {} if protocol == "v1" else {"protocolVersion": protocol}
    made = _resolve({"sklearn": {**URI, **wanted}}, runtime)
    assert _env(made) == {"TS_SERVICE_ENVELOPE": envelope, "PROTOCOL_VERSION": protocol}
    assert made.labels == {"serviceEnvelope": envelope}


def test_the_users_own_protocol_of_torchserve_wins() -> None:
    env = [{"name": "PROTOCOL_VERSION", "value": "v9"}]
    made = _resolve({"sklearn": {**URI, "env": env}}, _runtime(server_type="torchserve"))
    assert _env(made) == {"PROTOCOL_VERSION": "v9"}


def test_the_server_of_a_host_that_holds_one_is_not_told_to_begin_empty() -> None:
    given = {"modelFormat": {"name": "sklearn"}, "runtime": "mine"}
    probe = {"httpGet": {"path": "/v2/health/ready", "port": 8080}}
    made = _resolve(
        {"model": {**given, "readinessProbe": probe}}, _runtime(server_type="torchserve")
    )
    assert made.container["readinessProbe"] == probe
    assert (
        "readinessProbe"
        not in _resolve({"model": given}, _runtime(server_type="torchserve")).container
    )


MLSERVER_ENV = [{"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "{{.Labels.modelClass}}"}]
LIVE = {"httpGet": {"path": "/v2/health/live", "port": 8080}}
PORT = {"tcpSocket": {"port": 8080}}
TIMES = {"timeoutSeconds": 5, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 6}


def test_mlserver_begins_empty_and_without_a_class() -> None:
    made = _resolve(
        {"sklearn": {}}, _runtime({**MAIN, "env": MLSERVER_ENV}, server_type="mlserver")
    )
    assert _env(made) == {"MLSERVER_LOAD_MODELS_AT_STARTUP": "false"}
    assert made.labels == {"modelClass": "mlserver_sklearn.SKLearnModel"}


def test_the_users_own_settings_of_mlserver_win() -> None:
    env = [*MLSERVER_ENV, {"name": "MLSERVER_LOAD_MODELS_AT_STARTUP", "value": "true"}]
    made = _resolve({"sklearn": {"env": env}}, _runtime(server_type="mlserver"))
    assert _env(made) == {
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
        "MLSERVER_LOAD_MODELS_AT_STARTUP": "true",
    }


@pytest.mark.parametrize(
    ("format_", "class_"),
    [
        ("xgboost", "mlserver_xgboost.XGBoostModel"),
        ("lightgbm", "mlserver_lightgbm.LightGBMModel"),
        ("mlflow", "mlserver_mlflow.MLflowRuntime"),
    ],
)
def test_mlservers_class_is_a_label(format_: str, class_: str) -> None:
    runtime = builders.runtime(format_, name="kserve-mlserver")
    made = _resolve({"model": {"modelFormat": {"name": format_}}}, runtime)
    assert made.labels == {"modelClass": class_}


@pytest.mark.parametrize(
    ("args", "made"),
    [
        (["serve"], ["serve", "--model-control-mode=explicit"]),
        (["--model-control-mode=poll"], ["--model-control-mode=poll"]),
        (["--model-control-mode", "poll"], ["--model-control-mode", "poll"]),
    ],
    ids=["told", "as-it-was", "as-it-was-apart"],
)
def test_triton_is_told_what_to_load(args: list[str], made: list[str]) -> None:
    server = _resolve({"sklearn": {"args": args}}, _runtime(server_type="tritonserver"))
    assert server.container["args"] == made


READY = {"httpGet": {"path": "/v2/health/ready", "port": 8080}}
OWN = {"httpGet": {"path": "/healthy", "port": 8080}}


@pytest.mark.parametrize(
    ("server_type", "runtimes", "users", "probe"),
    [
        pytest.param("tritonserver", None, {}, {**LIVE, **TIMES}, id="triton"),
        pytest.param("mlserver", None, {}, {**LIVE, **TIMES}, id="mlserver-with-workers"),
        pytest.param(
            "mlserver",
            None,
            {"env": [{"name": "MLSERVER_PARALLEL_WORKERS", "value": "0"}]},
            {**PORT, **TIMES},
            id="mlserver-without",
        ),
        pytest.param("", None, {}, {**PORT, **TIMES}, id="unknown"),
        pytest.param(
            "tritonserver", READY, {}, {**LIVE, **TIMES}, id="a-runtimes-that-flaps-is-replaced"
        ),
        pytest.param("tritonserver", OWN, {}, OWN, id="a-runtimes-own-is-kept"),
        pytest.param(
            "tritonserver", OWN, {"readinessProbe": READY}, READY, id="the-users-is-kept"
        ),
    ],
)
def test_readiness(server_type: str, runtimes: Body | None, users: Body, probe: Body) -> None:
    box = {**MAIN, "readinessProbe": runtimes} if runtimes else MAIN
    made = _resolve({"sklearn": users}, _runtime(box, server_type=server_type))
    assert made.container["readinessProbe"] == probe


def test_the_server_of_a_runtime_that_is_gone_is_read_from_its_deployment() -> None:
    pin = pins.Pin("ServingRuntime", "gone", "digest", "v1")
    annotations = {**pin.encode(), "deployment.kubernetes.io/revision": "3", "kept": "yes"}
    deployment = builders.deployment(annotations=annotations, labels={"a": "b"})
    boxes = [{**MAIN, "ports": [{"containerPort": 7}]}, {"name": "agent"}]
    deployment["spec"] = {"template": {"spec": {"containers": boxes}}}
    made = _resolve({"sklearn": {}}, deployment=deployment)
    assert made.containers == (boxes[0],)
    assert made.kept is deployment
    assert (made.labels, made.annotations) == ({"a": "b"}, {"kept": "yes"})
    assert (made.protocol, made.pin) == ("v1", pin)
    assert (made.takes_models, made.holds_one) == (False, True)
    assert made.concern is not None
    assert made.concern.reason == Reason.RUNTIME_NOT_RECOGNIZED
