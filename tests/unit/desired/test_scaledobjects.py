"""What KEDA is told."""

from typing import Any

import pytest

from shoal.desired import children, scaledobjects
from shoal.errors import StalledError
from support import builders
from support.builders import Body, Json

KEDA = {"serving.kserve.io/autoscalerClass": "keda"}
QUERY = {"backend": "prometheus", "serverAddress": "http://p:9090", "query": "up"}


def _spec(**predictor: Json) -> dict[str, Any]:
    made = scaledobjects.make(builders.wanted(builders.inference_service(predictor=predictor)))
    spec: dict[str, Any] = made["spec"]
    return spec


def _metrics(*rows: Body) -> Body:
    return {"metrics": list(rows)}


def _external(target: Body | None = None, **given: Json) -> Body:
    metric = QUERY | given.pop("metric", {})
    return {"external": {"metric": metric, "target": target or {"value": 5}, **given}}


def _use(name: str, value: str, kind: str = "Utilization") -> Body:
    return {"type": name, "metricType": kind, "metadata": {"value": value}}


@pytest.mark.weakness("C9")
@pytest.mark.parametrize(
    ("predictor", "triggers"),
    [
        pytest.param({}, [_use("cpu", "80")], id="cpu-by-default"),
        pytest.param({"scaleTarget": 50}, [_use("cpu", "50")], id="scale-target-counts"),
        pytest.param(
            {"scaleMetric": "memory", "scaleTarget": 60},
            [_use("memory", "60")],
            id="scale-metric-counts",
        ),
        pytest.param(
            {
                "scaleTarget": 50,
                "autoScaling": _metrics(
                    {
                        "resource": {
                            "name": "memory",
                            "target": {"type": "AverageValue", "averageValue": "1Gi"},
                        }
                    }
                ),
            },
            [_use("memory", "1Gi", "AverageValue")],
            id="resource-metrics-win",
        ),
    ],
)
def test_resources(predictor: Body, triggers: list[Body]) -> None:
    assert _spec(**predictor)["triggers"] == triggers


@pytest.mark.parametrize(
    ("row", "trigger"),
    [
        pytest.param(
            _external(),
            {
                "type": "prometheus",
                "metadata": {"serverAddress": "http://p:9090", "query": "up", "threshold": "5"},
            },
            id="plain",
        ),
        pytest.param(
            _external(
                {"type": "AverageValue", "averageValue": "2.5"},
                metric={"namespace": "tenant"},
                authenticationRef={"authModes": "basic", "authenticationRef": {"name": "login"}},
            ),
            {
                "type": "prometheus",
                "metadata": {
                    "serverAddress": "http://p:9090",
                    "query": "up",
                    "threshold": "2.5",
                    "namespace": "tenant",
                    "authModes": "basic",
                },
                "authenticationRef": {"name": "login"},
            },
            id="with-a-login-and-a-tenant",
        ),
        pytest.param(
            _external(metric={"backend": "graphite", "namespace": "tenant"}),
            {
                "type": "graphite",
                "metadata": {"serverAddress": "http://p:9090", "query": "up", "threshold": "5"},
            },
            id="graphite-has-no-tenants",
        ),
    ],
)
def test_external(row: Body, trigger: Body) -> None:
    assert _spec(autoScaling=_metrics(row))["triggers"] == [trigger]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        pytest.param(_external(metric={"backend": None}), "metric.backend", id="backend"),
        pytest.param(
            _external(metric={"serverAddress": ""}), "metric.serverAddress", id="server-address"
        ),
        pytest.param(_external(metric={"query": ""}), "metric.query", id="query"),
        pytest.param(_external({"type": "Value"}), "target.value", id="target"),
    ],
)
def test_what_keda_needs_is_asked_for_by_its_path(row: Body, field: str) -> None:
    with pytest.raises(StalledError) as error:
        _spec(autoScaling=_metrics(row))
    assert error.value.message.startswith(
        f"spec.predictor.autoScaling.metrics[0].external.{field}: "
    )


@pytest.mark.parametrize(
    ("predictor", "bounds"),
    [
        pytest.param({}, (1, 1), id="one"),
        pytest.param({"minReplicas": 0, "maxReplicas": 3}, (1, 3), id="cpu-keeps-one"),
        pytest.param(
            {"minReplicas": 0, "autoScaling": _metrics(_external())}, (0, 1), id="down-to-none"
        ),
        pytest.param({"minReplicas": 2}, (2, 2), id="no-maximum-is-the-minimum"),
    ],
)
def test_bounds(predictor: Body, bounds: tuple[int, int]) -> None:
    spec = _spec(**predictor)
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == bounds


def test_behavior_is_passed_on() -> None:
    behavior = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 9}]}}
    advanced = _spec(autoScaling={"behavior": behavior})["advanced"]
    assert advanced == {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    assert "advanced" not in _spec()


@pytest.mark.parametrize(("has_keda", "kinds"), [(True, ["ScaledObject"]), (False, [])])
def test_it_is_made_where_the_cluster_knows_its_kind(*, has_keda: bool, kinds: list[str]) -> None:
    body = builders.inference_service(annotations=KEDA)
    made = children.make(builders.wanted(body, has_keda=has_keda))
    scalers = ("ScaledObject", "HorizontalPodAutoscaler")
    assert [child["kind"] for child in made if child["kind"] in scalers] == kinds
