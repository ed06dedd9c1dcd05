"""The status of an InferenceService, whole (contract §1.3, §2.9 to §2.12).

The Ingress is made at once, and IngressReady tells whether it exists as wanted; upstream
makes it, and says so, only after the predictor was ready once. Ready is the same either way,
because it depends on both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal import names, reasons
from shoal.api.inferenceservices import InferenceService
from shoal.errors import ReconcileError
from shoal.reasons import Reason
from shoal.status import conditions, modelstatuses
from shoal.status.conditions import FALSE, INFO, TRUE, UNKNOWN, WARNING, Condition

_STANDARD: Final = "Standard"
_RUNTIME_FIELDS: Final = {
    "ServingRuntime": "servingRuntimeName",
    "ClusterServingRuntime": "clusterServingRuntimeName",
}
_PREDICTOR: Final = reasons.Condition.PREDICTOR_READY
_TOO_FEW: Final = "MinimumReplicasUnavailable"  # the Deployment's own word

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RuntimeUse:
    """The runtime that the pods are made from; `concern` is what is wrong with it by now."""

    kind: str
    name: str
    concern: ReconcileError | None = None


@dataclass(frozen=True, slots=True)
class StorageUse:
    """Who fetches the service's own models, as far as there is something to say of it.

    `concern` is what is wrong with a ClusterStorageContainer by now, `doubt` what to look at.
    """

    concern: ReconcileError | None = None
    doubt: ReconcileError | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was observed after the children were applied.

    `deployment` is None where there is none. `has_ingress` is True when the Ingress exists as
    wanted, or none is wanted. `models` counts the TrainedModels that name the service (all,
    loaded); None where it takes none. `ignored` are paths of accepted fields that have no
    effect, `misspelt` those of fields that are read though they are spelt otherwise.
    `entry_taken` tells that somebody else has the Service named as the InferenceService.
    `runtime` is None where the predictor brings its own containers, or no runtime was found.
    `outdated` is why the pods are not as they would be made now, None where they are.
    `lacks_keda` tells that KEDA is to scale the predictor and is not there; `scaled_object` is
    what it is told, None where there is none. `error` is why the spec could not be acted on.
    URLs are empty where unknown.
    """

    deployment: Json | None = None
    pods: Sequence[Json] = ()
    has_ingress: bool = False
    models: tuple[int, int] | None = None
    stopped: bool = False
    error: ReconcileError | None = None
    ignored: Sequence[str] = ()
    misspelt: Sequence[str] = ()
    entry_taken: bool = False
    runtime: RuntimeUse | None = None
    storage: StorageUse = StorageUse()
    outdated: ReconcileError | None = None
    lacks_keda: bool = False
    scaled_object: Json | None = None
    url: str = ""
    address: str = ""
    predictor_url: str = ""


def compute(
    service: InferenceService, facts: Facts, *, old: Json, now: datetime
) -> dict[str, Any]:
    """Compute the status; `old` gives the times of what did not change."""
    found = _stopped() if facts.stopped else _running(facts)
    generation = service.metadata.generation
    status = {
        "observedGeneration": generation,
        "conditions": conditions.merge(
            old.get("conditions") or (), found, generation=generation, now=now
        ),
        "deploymentMode": _STANDARD,
    }
    if facts.runtime is not None:
        status[_RUNTIME_FIELDS[facts.runtime.kind]] = facts.runtime.name
    if facts.models is not None:
        total, loaded = facts.models
        status["models"] = {"total": total, "loaded": loaded, "summary": f"{loaded}/{total}"}
    return status if facts.stopped else status | _addresses(facts, old) | _model_status(facts)


def may_serve(status: Json) -> bool:
    """Tell from a status whether models may be Ready: the service is, or only lacks replicas.

    A service that grows has fewer replicas than it is to have, and is not ready by upstream's
    rule (contract §2.10). Its models answer on all that are there; each of them says so, and
    also where there is none.
    """
    rows = [
        conditions.find(status, kind) for kind in (_PREDICTOR, reasons.Condition.INGRESS_READY)
    ]
    lacks = rows[0]["status"] == FALSE and rows[0].get("reason") == _TOO_FEW
    return all(row["status"] == TRUE for row in (rows[1:] if lacks else rows))


def _stopped() -> list[Condition]:
    kinds = reasons.Condition
    message = "The service is stopped by its annotation serving.kserve.io/stop."
    dependents = [
        Condition(kind, FALSE, Reason.STOPPED, message)
        for kind in (kinds.PREDICTOR_READY, kinds.INGRESS_READY)
    ]
    stopped = Condition(kinds.STOPPED, TRUE, severity=INFO)
    return [conditions.ready(dependents), *dependents, stopped]


def _running(facts: Facts) -> list[Condition]:
    dependents = [_predictor(facts), _ingress(facts)]
    return [
        conditions.ready(dependents),
        *dependents,
        Condition(reasons.Condition.STOPPED, FALSE, severity=INFO),
        _honoured(facts),
        *_entry(facts),
        *_runtime(facts.runtime),
        *_storage(facts.storage),
        *_scaled(facts),
        *_current(facts.outdated),
    ]


def _entry(facts: Facts) -> list[Condition]:
    """Say that the short address inside the cluster is not ours; silent where it is."""
    if not facts.entry_taken:
        return []
    message = (
        "A Service with the InferenceService's name exists and belongs to somebody else;"
        " inside the cluster use the address in status.address."
    )
    kind = reasons.Condition.ENTRY_SERVICE_READY
    return [Condition(kind, FALSE, Reason.NAME_TAKEN, message, INFO)]


def _runtime(use: RuntimeUse | None) -> list[Condition]:
    """Say what is wrong with the runtime of pods that go on; Ready does not depend on it."""
    kind = reasons.Condition.RUNTIME_AVAILABLE
    if use is None:
        return []
    if use.concern is None:
        return [Condition(kind, TRUE, severity=INFO)]
    return [Condition(kind, FALSE, use.concern.reason, use.concern.message, INFO)]


def _storage(use: StorageUse) -> list[Condition]:
    """Say who fetches, and what is wrong with that; Ready does not depend on it."""
    kind = reasons.Condition.STORAGE_CONTAINER_AVAILABLE
    if use.concern is not None:
        return [Condition(kind, FALSE, use.concern.reason, use.concern.message, INFO)]
    if use.doubt is not None:
        return [Condition(kind, TRUE, use.doubt.reason, use.doubt.message, WARNING)]
    return [Condition(kind, TRUE, message=use.remark, severity=INFO)] if use.remark else []


def _scaled(facts: Facts) -> list[Condition]:
    """Say what keeps KEDA from scaling; silent where it scales, or nobody asked it to."""
    kind = reasons.Condition.AUTOSCALER_READY
    if facts.lacks_keda:
        message = (
            "KEDA is to scale the predictor, but the cluster does not know its kind ScaledObject"
            " (keda.sh/v1alpha1), so nobody does; install KEDA, or choose another class in the"
            f" annotation {names.AUTOSCALER_CLASS_ANNOTATION}."
        )
        return [Condition(kind, FALSE, Reason.KEDA_NOT_INSTALLED, message, INFO)]
    said = conditions.find((facts.scaled_object or {}).get("status") or {}, kind.READY)
    if facts.scaled_object is None or said["status"] != FALSE:
        return []
    message = f"KEDA says: {said.get('message') or said.get('reason') or 'it is not ready'}"
    return [Condition(kind, FALSE, Reason.AUTOSCALER_NOT_READY, message, INFO)]


def _current(outdated: ReconcileError | None) -> list[Condition]:
    """Say what the pods do not have yet; silent where they have it all."""
    if outdated is None:
        return []
    kind = reasons.Condition.PODS_CURRENT
    return [Condition(kind, FALSE, outdated.reason, outdated.message, INFO)]


def _honoured(facts: Facts) -> Condition:
    kind = reasons.Condition.FIELDS_HONOURED
    if facts.ignored:
        message = f"Accepted, but without effect: {', '.join(facts.ignored)}."
        return Condition(kind, FALSE, Reason.FIELDS_IGNORED, message, INFO)
    if facts.misspelt:
        message = (
            f"Read, but spelt otherwise: {', '.join(facts.misspelt)}; write it with a small first"
            " letter."
        )
        return Condition(kind, TRUE, Reason.FIELDS_MISSPELT, message, WARNING)
    return Condition(kind, TRUE, severity=INFO)


def _ingress(facts: Facts) -> Condition:
    kind = reasons.Condition.INGRESS_READY
    if facts.has_ingress:
        return Condition(kind, TRUE)
    message = "The Ingress does not exist yet."
    return Condition(kind, FALSE, Reason.PREDICTOR_INGRESS_NOT_CREATED, message)


def _predictor(facts: Facts) -> Condition:
    kind = reasons.Condition.PREDICTOR_READY
    if facts.error is not None:
        return Condition(kind, FALSE, facts.error.reason, facts.error.message)
    if facts.deployment is None:
        message = "The predictor's Deployment does not exist yet."
        return Condition(kind, FALSE, Reason.DEPLOYMENT_NOT_CREATED, message)
    if missing := modelstatuses.missing(facts.pods):
        return Condition(kind, FALSE, Reason(missing["reason"]), missing["message"])
    rows = (facts.deployment.get("status") or {}).get("conditions") or ()
    by_type = {row["type"]: row for row in rows}
    for type_, matches, status in _TABLE:
        row = by_type.get(type_)
        if row is not None and matches(row):
            return Condition(kind, status, row.get("reason", ""), row.get("message", ""))
    message = "The Deployment controller has not begun yet."
    return Condition(kind, FALSE, Reason.DEPLOYMENT_PENDING, message)


def _is_deployed(row: Json) -> bool:
    return bool(row["status"] == "True" and row.get("reason") == "NewReplicaSetAvailable")


def _is(status: str) -> Callable[[Json], bool]:
    return lambda row: bool(row["status"] == status)


# Contract §2.10, read from its last row to its first: the first match here is what wins there.
# Of the rows that give False, the one that says most comes first.
_TABLE: Final[Sequence[tuple[str, Callable[[Json], bool], str]]] = (
    ("ReplicaFailure", _is("True"), FALSE),
    ("Progressing", lambda row: bool(row["status"] == "False" and row.get("message")), FALSE),
    ("Available", _is("False"), FALSE),
    ("Progressing", _is_deployed, TRUE),
    ("Available", _is("True"), TRUE),
    ("Progressing", _is("True"), UNKNOWN),
)


def _addresses(facts: Facts, old: Json) -> dict[str, Any]:
    """Once known an address stays, also while the spec is refused (contract §2.9)."""
    made: dict[str, Any] = {}
    url = facts.url or old.get("url")
    if url:
        made["url"] = url
    address = {"url": facts.address} if facts.address else old.get("address")
    if address:
        made["address"] = address
    components = old.get("components")
    if facts.predictor_url and _predictor(facts).status == TRUE:
        components = {"predictor": {"url": facts.predictor_url}}
    if components:
        made["components"] = components
    return made


def _model_status(facts: Facts) -> dict[str, Any]:
    dependents = [_predictor(facts), _ingress(facts)]
    is_ready = conditions.ready(dependents).status == TRUE
    computed = modelstatuses.compute(
        facts.pods, is_ready=is_ready, error=facts.error, refusal=_refusal(facts.deployment)
    )
    return {"modelStatus": computed}


def _refusal(deployment: Json | None) -> str:
    """Read why the API server takes no more of the Deployment's pods, "" where it does."""
    rows = ((deployment or {}).get("status") or {}).get("conditions") or ()
    told = (row for row in rows if row["type"] == "ReplicaFailure" and row["status"] == TRUE)
    return next((row.get("message", "") for row in told), "")
