from typing import Any

import pytest

from shoal.api import settings
from shoal.api.inferenceservices import InferenceService, Spec
from shoal.api.meta import Metadata
from shoal.desired import autoscalers
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from support import builders
from support.builders import Body, Json


def _spec(**predictor: Json) -> dict[str, Any]:
    made = autoscalers.make(builders.wanted(builders.inference_service(predictor=predictor)))
    spec: dict[str, Any] = made["spec"]
    return spec


def _metric(name: str, **target: Json) -> Body:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def _use(name: str, percent: int) -> Body:
    return _metric(name, type="Utilization", averageUtilization=percent)


@pytest.mark.parametrize(
    ("predictor", "bounds"),
    [
        pytest.param({}, (1, 1), id="one"),
        pytest.param({"minReplicas": 0}, (1, 1), id="an-hpa-keeps-one"),
        pytest.param({"minReplicas": 2}, (2, 2), id="no-maximum-is-the-minimum"),
        pytest.param({"minReplicas": 2, "maxReplicas": 5}, (2, 5), id="both"),
        pytest.param({"maxReplicas": 3}, (1, 3), id="maximum-alone"),
    ],
)
def test_bounds(predictor: Body, bounds: tuple[int, int]) -> None:
    spec = _spec(**predictor)
    assert (spec["minReplicas"], spec["maxReplicas"]) == bounds


@pytest.mark.parametrize(
    ("predictor", "metrics"),
    [
        pytest.param({}, [_use("cpu", 80)], id="cpu-by-default"),
        pytest.param({"scaleTarget": 50}, [_use("cpu", 50)], id="cpu-target"),
        pytest.param({"scaleMetric": "memory"}, [_use("memory", 80)], id="memory-by-default"),
        pytest.param(
            {"scaleMetric": "memory", "scaleTarget": 60}, [_use("memory", 60)], id="memory-target"
        ),
        pytest.param(
            {"scaleMetric": "rps", "scaleTarget": 5}, [_use("cpu", 80)], id="rps-is-no-cpu-target"
        ),
        pytest.param(
            {
                "scaleTarget": 50,
                "autoScaling": {
                    "metrics": [
                        {"type": "Resource", "resource": {"name": "cpu"}},
                        {"type": "External", "external": {}},
                        {
                            "type": "Resource",
                            "resource": {
                                "name": "memory",
                                "target": {"type": "AverageValue", "averageValue": 100},
                            },
                        },
                    ]
                },
            },
            [_use("cpu", 80), _metric("memory", type="AverageValue", averageValue="100")],
            id="resource-metrics-win",
        ),
        pytest.param(
            {"scaleTarget": 50, "autoScaling": {"metrics": [{"type": "External"}]}},
            [_use("cpu", 50)],
            id="without-resource-metrics-scale-metric-counts",
        ),
    ],
)
def test_metrics(predictor: Body, metrics: list[Body]) -> None:
    assert _spec(**predictor)["metrics"] == metrics


@pytest.mark.weakness("C8")
def test_behavior_is_honoured() -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 5}}
    assert _spec(autoScaling={"behavior": behavior})["behavior"] == behavior
    assert "behavior" not in _spec()


@pytest.mark.parametrize("kind", ["Value", "AverageValue"])
def test_a_target_without_a_value_is_refused(kind: str) -> None:
    row = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": kind, "value": "1"}}}
    match = rf"autoScaling\.metrics\[0\]\.resource\.target: type {kind} gives no target"
    with pytest.raises(StalledError, match=match):
        _spec(autoScaling={"metrics": [row]})


@pytest.mark.parametrize(
    ("service", "predictor", "expected"),
    [
        pytest.param("", "", "hpa", id="hpa-by-default"),
        pytest.param("none", "", "none", id="of-the-service"),
        pytest.param("none", "external", "external", id="the-predictors-wins"),
    ],
)
def test_class(service: str, predictor: str, expected: str) -> None:
    assert autoscalers.class_of(_classed(service, predictor)) == expected


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(StalledError, match=r"\[karpenter\] is not a supported autoscaler class"):
        autoscalers.class_of(_classed("karpenter", ""))


def _classed(service: str, predictor: str) -> Wanted:
    """Make it without `parse`, which refuses an unknown class too."""
    key = "serving.kserve.io/autoscalerClass"
    body = builders.inference_service(annotations={key: service} if service else {})
    body["spec"]["predictor"]["annotations"] = {key: predictor} if predictor else {}
    parsed = InferenceService(Metadata.parse(body), Spec.model_validate(body["spec"]))
    return Wanted(parsed, settings.ServingConfig(), builders.server(parsed))
