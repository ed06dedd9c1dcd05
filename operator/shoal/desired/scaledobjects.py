"""The predictor's ScaledObject, by which KEDA scales it (contract §2.7).

Unlike upstream's, `scaleMetric` and `scaleTarget` count where no metrics are given (C9), and
`behavior` is passed on whole.
"""

from collections.abc import Mapping
from typing import Any, Final

from shoal.desired import autoscalers, metadata
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason

_PATH: Final = "spec.predictor.autoScaling.metrics"


def make(wanted: Wanted) -> dict[str, Any]:
    """Make the ScaledObject.

    Raises:
        StalledError: a metric lacks what KEDA needs, or has a target that it does not know.
    """
    predictor = wanted.service.predictor
    triggers = _triggers(wanted)
    # By cpu and memory nobody can tell that the first request came: KEDA refuses to go to zero.
    fewest = 0 if any(row["type"] not in autoscalers.METRICS for row in triggers) else 1
    minimum = max(fewest, 1 if predictor.min_replicas is None else predictor.min_replicas)
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata.make_component(wanted),
        "spec": {
            "scaleTargetRef": {"name": wanted.predictor},
            "minReplicaCount": minimum,
            "maxReplicaCount": max(predictor.max_replicas or 0, minimum, 1),
            "triggers": triggers,
            **_behavior(predictor.auto_scaling or {}),
        },
    }


def _behavior(given: Mapping[str, Any]) -> dict[str, Any]:
    behavior = given.get("behavior")
    return (
        {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}} if behavior else {}
    )


def _triggers(wanted: Wanted) -> list[dict[str, Any]]:
    """Read autoScaling's metrics; api.inferenceservices.ignored names those that are not."""
    given = (wanted.service.predictor.auto_scaling or {}).get("metrics") or []
    made = []
    for index, row in enumerate(given):
        if row.get("resource"):
            made.append(_resource(autoscalers.metric(index, row["resource"])))
        elif row.get("external"):
            made.append(_external(f"{_PATH}[{index}].external", row["external"]))
    return made or [_resource(autoscalers.single(wanted))]


def _resource(metric: Mapping[str, Any]) -> dict[str, Any]:
    resource = metric["resource"]
    target = resource["target"]
    value = target.get("averageUtilization", target.get("averageValue"))
    return {
        "type": resource["name"],
        "metricType": target["type"],
        "metadata": {"value": str(value)},
    }


def _external(path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    metric, login = given.get("metric") or {}, given.get("authenticationRef") or {}
    target = given.get("target") or {}
    threshold = target.get("value", target.get("averageValue"))
    needed = {
        "metric.backend": metric.get("backend"),
        "metric.serverAddress": metric.get("serverAddress"),
        "metric.query": metric.get("query"),
        "target.value": threshold,
    }
    if missing := [field for field, value in needed.items() if value in (None, "")]:
        raise StalledError(
            Reason.INVALID_SPEC,
            f"{path}.{missing[0]}: KEDA needs it, and there is none; add it",
        )
    values = {
        "serverAddress": metric["serverAddress"],
        "query": metric["query"],
        "threshold": str(threshold),
        "namespace": metric.get("namespace") if metric["backend"] == "prometheus" else "",
        "authModes": login.get("authModes"),
    }
    name = (login.get("authenticationRef") or {}).get("name")
    return {
        "type": metric["backend"],
        "metadata": {key: value for key, value in values.items() if value},
        **({"authenticationRef": {"name": name}} if name else {}),
    }
