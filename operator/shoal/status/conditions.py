"""Conditions and their algebra (contract §1.3), for every kind's status.

```
            Ready of an InferenceService: PredictorReady, IngressReady
            Ready of a TrainedModel: InferenceServiceReady, IsMMSPredictor,
                                     MemoryResourceAvailable, ModelLoaded
 any False → False (the first one's reason) │ any Unknown → Unknown │ else True
```
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from shoal import reasons

TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"
INFO: Final = "Info"  # the severity of a condition that Ready does not depend on
WARNING: Final = "Warning"  # the same of one that somebody should look at, also where it is True


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement about a resource; True needs no reason."""

    type: reasons.Condition
    status: str
    reason: str = ""
    message: str = ""
    severity: str = ""


def ready(dependents: Sequence[Condition]) -> Condition:
    """Derive Ready: as bad as the worst of what it depends on; of equals the first."""
    for status in (FALSE, UNKNOWN):
        for one in dependents:
            if one.status == status:
                return Condition(reasons.Condition.READY, status, one.reason, one.message)
    return Condition(reasons.Condition.READY, TRUE)


def merge(
    old: Iterable[Mapping[str, Any]],
    new: Iterable[Condition],
    *,
    generation: int,
    now: datetime,
) -> list[dict[str, Any]]:
    """Make the list for the status, sorted by type; only the types in `new` remain.

    lastTransitionTime moves only with the status.
    """
    before = {one.get("type"): one for one in old}
    made = []
    for one in sorted(new, key=lambda one: one.type):
        was = before.get(one.type, {})
        kept = was.get("lastTransitionTime") if was.get("status") == one.status else None
        texts = {"reason": one.reason, "message": one.message, "severity": one.severity}
        made.append(
            {
                "type": str(one.type),
                "status": one.status,
                **{key: str(text) for key, text in texts.items() if text},
                "lastTransitionTime": kept or timestamp(now),
                "observedGeneration": generation,
            }
        )
    return made


def find(status: Mapping[str, Any], type_: reasons.Condition) -> Mapping[str, Any]:
    """Find a condition of a stored status; absent means Unknown."""
    for one in status.get("conditions") or ():
        if one.get("type") == type_:
            found: Mapping[str, Any] = one
            return found
    return {"type": str(type_), "status": UNKNOWN}


def timestamp(moment: datetime) -> str:
    """Write a moment as Kubernetes does: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
