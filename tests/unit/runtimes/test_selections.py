"""Which runtime is chosen, row by row of the contract's §3.2 and §3.3."""

from typing import Any

import pytest

from shoal.api import inferenceservices
from shoal.api.servingruntimes import Runtime
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import asks, selections
from shoal.runtimes.asks import Ask
from shoal.runtimes.pins import Pin
from support import builders
from support.builders import Body


def _ask(predictor: Body) -> Ask:
    body = builders.inference_service() | {"spec": {"predictor": predictor}}
    found = asks.of(inferenceservices.parse(body).predictor)
    assert found is not None
    return found


def _model(name: str = "sklearn", **given: Any) -> Ask:
    format_ = {"name": name, **({"version": given.pop("version")} if "version" in given else {})}
    return _ask({"model": {"modelFormat": format_, **given}})


def _runtime(name: str, *formats: str | Body, **spec: Any) -> Runtime:
    return builders.runtime(*(formats or ("sklearn",)), name=name, **spec)


def _format(name: str = "sklearn", **given: Any) -> Body:
    return {"name": name, "autoSelect": True, **given}


def _aged(name: str, second: int, **spec: Any) -> Runtime:
    meta = {"creationTimestamp": f"2026-11-21T10:00:{second:02}Z"}
    return _runtime(name, metadata=meta, **spec)


V1, V2, ANY = ["v1"], ["v2"], list[str]()


@pytest.mark.parametrize(
    ("ask", "runtimes", "chosen"),
    [
        pytest.param(_model(), [_runtime("a")], "a", id="the-only-one"),
        pytest.param(
            _model(),
            [_runtime("a"), _runtime("b", namespace="default")],
            "b",
            id="namespace-first",
        ),
        pytest.param(
            _model(),
            [_runtime("a", _format(priority=9)), _runtime("b", namespace="default")],
            "b",
            id="namespace-before-priority",
        ),
        pytest.param(
            _model(),
            [_runtime("a", _format(priority=1)), _runtime("b", _format(priority=2))],
            "b",
            id="the-highest-priority",
        ),
        pytest.param(
            _model(), [_runtime("a"), _runtime("b", _format(priority=1))], "b", id="none-is-last"
        ),
        pytest.param(
            _model(),
            [
                _runtime("a", _format(version="0"), _format(version="1", priority=9)),
                _runtime("b", _format(priority=1)),
            ],
            "b",
            id="priority-of-the-first-entry",
        ),
        pytest.param(
            _model(protocolVersion="v2"),
            [_runtime("a"), _runtime("b", protocolVersions=["v2", "v1"])],
            "b",
            id="the-lowest-protocol",
        ),
        pytest.param(_model(), [_aged("a", 1), _aged("b", 2)], "b", id="the-youngest"),
        pytest.param(_model(), [_aged("b", 1), _aged("a", 1)], "a", id="by-name"),
        pytest.param(
            _model(), [_runtime("a", disabled=True), _runtime("b")], "b", id="never-a-disabled-one"
        ),
        pytest.param(
            _model(), [_runtime("a", multiModel=True), _runtime("b")], "b", id="never-modelmeshs"
        ),
        pytest.param(
            _model(),
            [_runtime("a", workerSpec={"containers": []}), _runtime("b")],
            "b",
            id="never-one-of-several-nodes",
        ),
        pytest.param(
            _model(),
            [_runtime("a", {"name": "sklearn"}), _runtime("b")],
            "b",
            id="only-what-may-be-chosen-by-itself",
        ),
        pytest.param(
            _model(version="1"),
            [_runtime("a", _format(version="1.0")), _runtime("b", _format(version="1"))],
            "b",
            id="versions-are-strings",
        ),
        pytest.param(
            _model(), [_runtime("a", "Sklearn"), _runtime("b")], "b", id="names-are-exact"
        ),
        pytest.param(
            _model(),
            [_runtime("a", _format(priority=9)), _runtime("b", protocolVersions=V1)],
            "b",
            id="v1-where-no-protocol-is-wanted",
        ),
        pytest.param(_model(), [_runtime("a")], "a", id="v2-where-nobody-speaks-v1"),
        pytest.param(
            _model(), [_runtime("a", protocolVersions=ANY)], "a", id="no-list-is-any-protocol"
        ),
        pytest.param(
            _model(protocolVersion="v2"),
            [_runtime("a", _format(priority=9), protocolVersions=V1), _runtime("b")],
            "b",
            id="the-wanted-protocol",
        ),
        pytest.param(
            _ask({"sklearn": {"ProtocolVersion": "v2"}}),
            [_runtime("a", protocolVersions=V1), _runtime("b")],
            "b",
            id="however-it-is-spelt",
        ),
        pytest.param(
            _ask({"onnx": {}}),
            [_runtime("a", "onnx", protocolVersions=V1), _runtime("b", "onnx")],
            "b",
            id="onnx-is-v2",
        ),
        pytest.param(
            _model("triton"),
            [_runtime("a", "triton", protocolVersions=V1), _runtime("b", "triton")],
            "b",
            id="triton-is-v2",
        ),
        pytest.param(
            _model(runtime="a"),
            [_runtime("a", {"name": "sklearn"}), _runtime("b", namespace="default")],
            "a",
            id="the-named-one",
        ),
        pytest.param(
            _model(runtime="a"),
            [_runtime("a"), _runtime("a", namespace="default")],
            "default",
            id="the-named-one-of-the-namespace",
        ),
    ],
)
def test_chosen(ask: Ask, runtimes: list[Runtime], chosen: str) -> None:
    for order in (runtimes, runtimes[::-1]):
        found = selections.choose(ask, order, None)
        assert found.concern is None
        assert found.runtime is not None
        assert chosen in (found.runtime.name, found.runtime.metadata.namespace)


@pytest.mark.parametrize(
    ("ask", "runtimes", "reason", "words"),
    [
        pytest.param(
            _model(runtime="x"),
            [_runtime("a")],
            Reason.RUNTIME_NOT_RECOGNIZED,
            "Waiting for runtime to become available: spec.predictor.model.runtime: No"
            " ServingRuntimes or ClusterServingRuntimes with the name: x",
            id="unknown",
        ),
        pytest.param(
            _model(runtime="a"),
            [_runtime("a", disabled=True)],
            Reason.RUNTIME_DISABLED,
            "Specified runtime is disabled: spec.predictor.model: ClusterServingRuntime a",
            id="disabled",
        ),
        pytest.param(
            _model(runtime="a", protocolVersion="v1"),
            [_runtime("a")],
            Reason.NO_SUPPORTING_RUNTIME,
            "Specified runtime does not support specified protocol version:"
            " spec.predictor.model.protocolVersion: ClusterServingRuntime a speaks v2, not v1",
            id="another-protocol",
        ),
        pytest.param(
            _model("onnx", runtime="a"),
            [_runtime("a")],
            Reason.NO_SUPPORTING_RUNTIME,
            "Specified runtime does not support specified framework/version:",
            id="another-format",
        ),
        pytest.param(
            _model(runtime="a", version="2"),
            [_runtime("a", _format(version="1"))],
            Reason.NO_SUPPORTING_RUNTIME,
            "does not list format sklearn, version 2",
            id="another-version",
        ),
        pytest.param(
            _ask({"sklearn": {"protocolVersion": "v1"}}),
            [_runtime("a")],
            Reason.NO_SUPPORTING_RUNTIME,
            "No runtime found to support specified framework/version: spec.predictor.sklearn:"
            " format sklearn, protocol v1",
            id="none-fits",
        ),
        pytest.param(
            _model(), [], Reason.NO_SUPPORTING_RUNTIME, "No runtime found", id="there-is-none"
        ),
    ],
)
def test_refused(ask: Ask, runtimes: list[Runtime], reason: Reason, words: str) -> None:
    with pytest.raises(StalledError) as error:
        selections.choose(ask, runtimes, None)
    assert error.value.reason == reason
    assert words in error.value.message


def test_a_model_without_a_format_is_refused_by_its_path() -> None:
    with pytest.raises(
        StalledError, match=r"spec\.predictor\.model\.modelFormat\.name: "
    ) as error:
        _ask({"model": {"runtime": "a"}})
    assert error.value.reason == Reason.INVALID_PREDICTOR_SPEC


ON_A = Pin("ClusterServingRuntime", "a", "digest", "v2")
BETTER = _runtime("b", _format(priority=9), protocolVersions=V1)


@pytest.mark.parametrize(
    ("ask", "runtimes", "chosen", "concern"),
    [
        pytest.param(_model(), [_runtime("a"), BETTER], "a", None, id="a-better-one-came"),
        pytest.param(
            _model(),
            [_runtime("a"), _runtime("a", namespace="default")],
            "",
            None,
            id="one-of-its-name-came-to-the-namespace",
        ),
        pytest.param(_model(), [BETTER], None, Reason.RUNTIME_NOT_RECOGNIZED, id="it-is-gone"),
        pytest.param(
            _model(runtime="a"), [BETTER], None, Reason.RUNTIME_NOT_RECOGNIZED, id="named-and-gone"
        ),
        pytest.param(
            _model(),
            [_runtime("a", disabled=True), BETTER],
            "a",
            Reason.RUNTIME_DISABLED,
            id="it-was-disabled",
        ),
        pytest.param(
            _model(runtime="a"),
            [_runtime("a", disabled=True)],
            "a",
            Reason.RUNTIME_DISABLED,
            id="named-and-disabled",
        ),
        pytest.param(
            _model(),
            [_runtime("a", "onnx"), BETTER],
            "b",
            None,
            id="it-no-longer-fits-another-does",
        ),
        pytest.param(
            _model(),
            [_runtime("a", "onnx")],
            "a",
            Reason.NO_SUPPORTING_RUNTIME,
            id="it-no-longer-fits-and-none-does",
        ),
        pytest.param(
            _model(runtime="a"),
            [_runtime("a", "onnx"), BETTER],
            "a",
            Reason.NO_SUPPORTING_RUNTIME,
            id="named-and-no-longer-fits",
        ),
        pytest.param(
            _model(runtime="a"),
            [_runtime("a", namespace="default")],
            "default",
            None,
            id="named-and-only-the-namespaces-is-left",
        ),
    ],
)
def test_a_service_that_runs(
    ask: Ask, runtimes: list[Runtime], chosen: str | None, concern: Reason | None
) -> None:
    found = selections.choose(ask, runtimes, ON_A)
    if chosen is None:
        assert found.runtime is None
    else:
        assert found.runtime is not None
        assert chosen in (found.runtime.name, found.runtime.metadata.namespace)
    assert (found.concern and found.concern.reason) == concern


@pytest.mark.parametrize(
    ("ask", "spoken", "protocol"),
    [
        (_model(), ["grpc-v2", "v2", "v1"], "v1"),
        (_model(), ["grpc-v2", "v2"], "v2"),
        (_model(protocolVersion="v2"), ["v1", "v2"], "v2"),
        (_model(), [], ""),
    ],
    ids=["the-lowest", "of-those-there-are", "the-wanted", "unknown"],
)
def test_protocol(ask: Ask, spoken: list[str], protocol: str) -> None:
    runtime = _runtime("a", protocolVersions=spoken)
    assert selections.protocol(ask, runtime) == protocol
