"""Which events follow from a changed status: a reason that is new, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shoal import names, reasons
from shoal.reasons import Reason
from shoal.status import conditions
from shoal.status.conditions import FALSE, TRUE

NORMAL: Final = "Normal"
WARNING: Final = "Warning"

# Of a TrainedModel: states that pass by themselves, which nobody wants to be told of.
_PASSING: Final = frozenset(
    {
        "",
        Reason.PENDING,
        Reason.DOWNLOADING,
        Reason.LOADING,
        Reason.NO_READY_REPLICA,
        Reason.MODEL_NOT_LOADED,
        Reason.NOT_ADMITTED,
        Reason.INFERENCE_SERVICE_NOT_READY,
    }
)
# Of an InferenceService: reasons of the operator's own; the others are the Deployment's.
_STALLED: Final = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.INVALID_PREDICTOR_SPEC,
        Reason.NOT_SUPPORTED,
        Reason.NOT_OWNED,
        Reason.CONFIG_INVALID,
        Reason.RECONCILE_FAILED,
        Reason.RUNTIME_NOT_RECOGNIZED,
        Reason.RUNTIME_DISABLED,
        Reason.NO_SUPPORTING_RUNTIME,
        Reason.STORAGE_CONTAINER_NOT_FOUND,
        Reason.STORAGE_CONTAINER_DISABLED,
        Reason.STORAGE_CONTAINER_UNFIT,
    }
)


@dataclass(frozen=True, slots=True)
class Notice:
    """An event to be recorded about the object whose status changed."""

    type: str
    reason: str
    message: str


def of_inference_service(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> list[Notice]:
    """List the events of an InferenceService (contract §2.17)."""
    return [
        *_readiness(name, old, new),
        *_warnings(reasons.Condition.PREDICTOR_READY, old, new, only=_STALLED),
        *_warnings(reasons.Condition.FIELDS_HONOURED, old, new, only=None),
        *_warnings(reasons.Condition.ENTRY_SERVICE_READY, old, new, only=None),
        *_warnings(reasons.Condition.RUNTIME_AVAILABLE, old, new, only=None),
        *_warnings(reasons.Condition.STORAGE_CONTAINER_AVAILABLE, old, new, only=None),
        *_warnings(reasons.Condition.AUTOSCALER_READY, old, new, only=None),
    ]


def of_trained_model(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Notice]:
    """List the events of a TrainedModel: why it is not loaded, and that it is again.

    A model that loads at once has none: an event is a write, and ten thousand models at once
    would cost twice as many.
    """
    made = []
    loaded = reasons.Condition.MODEL_LOADED
    had_failed = conditions.find(old, loaded).get("reason", "") not in _PASSING
    if had_failed and _became(loaded, TRUE, old, new):
        made.append(Notice(NORMAL, Reason.MODEL_LOADED, "The model is loaded on every replica."))
    made += _refreshed(old, new)
    for kind in (
        reasons.Condition.INFERENCE_SERVICE_READY,
        reasons.Condition.IS_MMS_PREDICTOR,
        reasons.Condition.MEMORY_RESOURCE_AVAILABLE,
        loaded,
    ):
        made += [
            event for event in _warnings(kind, old, new, only=None) if event.reason not in _PASSING
        ]
    return made


def _refreshed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Notice]:
    """Tell that what was asked for by the annotation is served now."""
    before, after = (
        (status.get("annotations") or {}).get(names.REFRESH_ANNOTATION) for status in (old, new)
    )
    if not after or after == before:
        return []
    message = f'Refresh "{after}": every replica answers with what the storage URI has.'
    return [Notice(NORMAL, Reason.REFRESHED, message)]


def _readiness(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Notice]:
    kind = reasons.Condition.READY
    if _became(kind, TRUE, old, new):
        message = f"InferenceService [{name}] is Ready"
        return [Notice(NORMAL, Reason.INFERENCE_SERVICE_READY, message)]
    if conditions.find(old, kind)["status"] == TRUE and _became(kind, FALSE, old, new):
        because = ", ".join(
            one["type"]
            for one in new["conditions"]
            if one["status"] == FALSE and one["type"] != kind and not one.get("severity")
        )
        message = f"InferenceService [{name}] is no longer Ready because of: {because}"
        return [Notice(WARNING, Reason.INFERENCE_SERVICE_NOT_READY, message)]
    return []


def _became(
    kind: reasons.Condition, status: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> bool:
    before, after = conditions.find(old, kind), conditions.find(new, kind)
    return bool(after["status"] == status and before["status"] != status)


def _warnings(
    kind: reasons.Condition,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    only: frozenset[Reason] | None,
) -> list[Notice]:
    """Warn where a condition is bad for a reason that it did not have before.

    It is where it is False, and where it says of itself that it is a warning.
    """
    before, after = conditions.find(old, kind), conditions.find(new, kind)
    reason = after.get("reason", "")
    is_bad = after["status"] == FALSE or after.get("severity") == conditions.WARNING
    if not is_bad or (only is not None and reason not in only):
        return []
    if (before["status"], before.get("reason", "")) == (after["status"], reason):
        return []
    return [Notice(WARNING, reason, after.get("message", ""))]
