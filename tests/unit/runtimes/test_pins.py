"""The record of a service's runtime, and whom a runtime concerns."""

import pytest

from shoal.runtimes import pins
from shoal.runtimes.pins import Pin
from support import builders
from support.builders import Body

SPEC = {"sklearn": {}}
PIN = Pin("ClusterServingRuntime", "kserve-mlserver", pins.digest(SPEC), "v2")
AVAILABLE = {"conditions": [builders.condition("RuntimeAvailable", "True")]}
CONCERNED = {"conditions": [builders.condition("RuntimeAvailable", "False")]}


def _on(pin: Pin | None) -> Body:
    return builders.deployment(annotations=pin.encode() if pin else {})


def _service(predictor: Body, status: Body | None = None) -> Body:
    body = builders.inference_service() | {"spec": {"predictor": predictor}}
    return body | ({"status": status} if status else {})


def test_a_record_is_read_back() -> None:
    assert pins.decode(_on(PIN)) == PIN
    assert pins.decode(_on(None)) is None
    assert pins.decode(None) is None


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({"minReplicas": 3, "scaleTarget": 5}, True, id="scaling"),
        pytest.param({"labels": {"a": "b"}, "annotations": {}}, True, id="labels"),
        pytest.param({"deploymentStrategy": {"type": "Recreate"}}, True, id="rollout"),
        pytest.param({"sklearn": {"env": []}}, False, id="the-servers-fields"),
        pytest.param({"nodeSelector": {"a": "b"}}, False, id="the-pods-fields"),
        pytest.param({"workerSpec": {}}, False, id="workers"),
        pytest.param({"storageContainerName": "a"}, False, id="who-fetches"),
    ],
)
def test_the_digest_is_of_what_the_pods_are_made_of(change: Body, *, same: bool) -> None:
    assert (pins.digest({**SPEC, **change}) == pins.digest(SPEC)) is same


MLSERVER = builders.serving_runtime("sklearn")
OTHER = builders.serving_runtime("sklearn", name="other")
ONNX = builders.serving_runtime("onnx", name="other")
NAMED = {"model": {"modelFormat": {"name": "sklearn"}, "runtime": "other"}}
LEFT_OPEN = {"model": {"modelFormat": {"name": "sklearn"}}}


@pytest.mark.parametrize(
    ("runtime", "service", "pin", "concerned"),
    [
        pytest.param(MLSERVER, _service({"containers": []}), None, False, id="own-containers"),
        pytest.param(OTHER, _service(NAMED), None, True, id="named"),
        pytest.param(ONNX, _service(NAMED), None, True, id="named-whatever-its-formats"),
        pytest.param(MLSERVER, _service(NAMED), None, False, id="another-is-named"),
        pytest.param(
            MLSERVER, _service(NAMED, AVAILABLE), PIN, True, id="another-is-named-but-it-is-on-it"
        ),
        pytest.param(MLSERVER, _service(SPEC, AVAILABLE), PIN, True, id="on-it"),
        pytest.param(OTHER, _service(SPEC, AVAILABLE), PIN, False, id="on-another"),
        pytest.param(OTHER, _service(SPEC), None, True, id="looking"),
        pytest.param(OTHER, _service(LEFT_OPEN), None, True, id="looking-by-model"),
        pytest.param(ONNX, _service(SPEC), None, False, id="looking-for-another-format"),
        pytest.param(OTHER, _service(SPEC, CONCERNED), PIN, True, id="its-own-no-longer-fits"),
        pytest.param(
            OTHER,
            _service({"sklearn": {"image": "x"}}, AVAILABLE),
            PIN,
            True,
            id="its-spec-was-changed",
        ),
        pytest.param(
            builders.serving_runtime("sklearn", namespace="default"),
            _service(SPEC, AVAILABLE),
            PIN,
            False,
            id="of-the-same-name-but-another-kind",
        ),
        pytest.param(
            {**OTHER, "spec": {"containers": []}}, _service(SPEC), None, False, id="no-formats"
        ),
    ],
)
def test_concerned(runtime: Body, service: Body, pin: Pin | None, *, concerned: bool) -> None:
    assert pins.concerns(runtime, service, _on(pin)) is concerned
