"""The predictor's HorizontalPodAutoscaler (contract §2.7), its `behavior` honoured (C8)."""

from collections.abc import Mapping
from typing import Any, Final

from shoal import names
from shoal.desired import metadata
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason

HPA: Final = "hpa"
EXTERNAL: Final = "external"
KEDA: Final = "keda"
NONE: Final = "none"

_CLASSES: Final = (HPA, EXTERNAL, KEDA, NONE)
_UTILIZATION: Final = 80
METRICS: Final = ("cpu", "memory")
"""What an HPA measures by itself."""


def class_of(wanted: Wanted) -> str:
    """Tell who scales the predictor, by the annotation on its metadata.

    Raises:
        StalledError: the class is unknown.
    """
    annotations = metadata.component_annotations(wanted)
    found = annotations.get(names.AUTOSCALER_CLASS_ANNOTATION) or HPA
    if found not in _CLASSES:
        raise StalledError(
            Reason.INVALID_SPEC,
            f"metadata.annotations[{names.AUTOSCALER_CLASS_ANNOTATION}]: [{found}] is not a"
            f" supported autoscaler class type; use one of {', '.join(_CLASSES)}",
        )
    return found


def make(wanted: Wanted) -> dict[str, Any]:
    """Make the HPA.

    Raises:
        StalledError: a metric's target is one that the API server does not know.
    """
    predictor = wanted.service.spec.predictor
    minimum = max(1, predictor.min_replicas or 1)
    given = predictor.auto_scaling or {}
    behavior = given.get("behavior")
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata.make_component(wanted),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": wanted.predictor,
            },
            "minReplicas": minimum,
            "maxReplicas": max(predictor.max_replicas or 0, minimum),
            "metrics": _metrics(given) or [single(wanted)],
            **({"behavior": behavior} if behavior else {}),
        },
    }


def _metrics(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read autoScaling's resource metrics; api.inferenceservices.ignored names the others."""
    return [
        metric(index, row["resource"])
        for index, row in enumerate(given.get("metrics") or [])
        if row.get("resource")
    ]


def metric(index: int, resource: Mapping[str, Any]) -> dict[str, Any]:
    """Make a metric of a resource, of the given place in autoScaling's metrics.

    Raises:
        StalledError: its target is one that the API server does not know.
    """
    return _metric(resource["name"], _target(index, resource))


def single(wanted: Wanted) -> dict[str, Any]:
    """Make the metric of scaleMetric and scaleTarget.

    Nobody here can measure concurrency or rps: they become cpu, without their target.
    """
    predictor = wanted.service.spec.predictor
    if predictor.scale_metric in (None, *METRICS):
        return _metric(predictor.scale_metric or "cpu", _utilization(predictor.scale_target))
    return _metric("cpu", _utilization(None))


def _metric(name: str, target: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def _target(index: int, resource: Mapping[str, Any]) -> dict[str, Any]:
    given = resource.get("target") or {}
    kind = given.get("type") or "Utilization"
    if kind == "Utilization":
        return _utilization(given.get("averageUtilization"))
    if kind == "AverageValue" and given.get("averageValue") is not None:
        return {"type": kind, "averageValue": str(given["averageValue"])}
    raise StalledError(
        Reason.INVALID_SPEC,
        f"spec.predictor.autoScaling.metrics[{index}].resource.target: type {kind} gives no"
        " target; use Utilization with averageUtilization, or AverageValue with averageValue",
    )


def _utilization(percent: int | None) -> dict[str, Any]:
    return {"type": "Utilization", "averageUtilization": percent or _UTILIZATION}
