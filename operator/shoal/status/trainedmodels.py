"""The status of a TrainedModel: Ready when, and only when, every ready replica has it loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from shoal import names, reasons
from shoal.api import quantities
from shoal.api.trainedmodels import TrainedModel
from shoal.errors import StalledError
from shoal.modelstates import ModelState, State
from shoal.reasons import Reason
from shoal.status import conditions
from shoal.status.conditions import FALSE, INFO, TRUE, UNKNOWN, Condition
from shoal.status.replicas import Replica

_PASSING: Final = {
    State.DOWNLOADING: Reason.DOWNLOADING,
    State.LOADING: Reason.LOADING,
}
_NO_REPLICA: Final = "The server has no replica; the conditions of its InferenceService say why."
_KEPT: Final = " (the version before still answers)"
_STEPS: Final = (("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: what the server's container may take, and what admitted models take of it.

    `room` is the limit that some pods still have, where that is less.
    """

    limit: Decimal | None = None
    admitted: Decimal = Decimal(0)
    room: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """What is known of the InferenceService that a model names.

    `uid` is the service's; `url` and `address` are the model's own, whole; each is empty where
    there is none.
    """

    ready: bool
    is_mms: bool
    admitted: bool
    memory: Memory = Memory()
    replicas: Sequence[Replica] = ()
    uid: str = ""
    url: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class TrainedModelStatus:
    """A status, whole. `settled` is False in a state that may well pass within a second."""

    status: dict[str, Any]
    settled: bool


def compute(
    model: TrainedModel,
    parent: Parent | None,
    *,
    old: Mapping[str, Any],
    now: datetime,
    owner: str = "",
) -> TrainedModelStatus:
    """Compute the status; `parent` is None where the InferenceService does not exist.

    `owner` is the uid of the InferenceService that the model goes with; "" means the parent.
    """
    replicas = sorted(parent.replicas, key=lambda replica: replica.pod) if parent else []
    view = _View(model.metadata.name, None if model.fault else model.entry.digest, replicas)
    loaded, settled = _refused(view, model.fault) if model.fault else _loaded(view, parent)
    dependents = [*_admission(model, parent), loaded]
    # Why a model fails says more than that its service is not ready, often for that reason.
    fails = model.fault or view.failing()
    told = sorted(dependents, key=lambda one: one is not loaded) if fails else dependents
    generation = model.metadata.generation
    status = {
        "observedGeneration": generation,
        "conditions": conditions.merge(
            old.get("conditions") or (),
            [conditions.ready(told), *dependents, _serving(view)],
            generation=generation,
            now=now,
        ),
        "copies": view.copies(),
        **whose(model.inference_service, owner or (parent.uid if parent else "")),
    }
    if parent and parent.url:
        status["url"] = parent.url
    if parent and parent.address:
        status["address"] = {"url": parent.address}
    if refreshed := model.entry.refresh if view.is_loaded else model.refreshed:
        status["annotations"] = {names.REFRESH_ANNOTATION: refreshed}
    failure = _last_failure(view, old, generation, now)
    if failure:
        status["lastFailureInfo"] = failure
    return TrainedModelStatus(status, settled)


def whose(service: str, uid: str) -> dict[str, Any]:
    """Tell which InferenceService a model goes with; nothing where there is none, uid ""."""
    return {"inferenceService": {"name": service, "uid": uid}} if uid else {}


class _View:
    """One model on all replicas, which are sorted by pod; `digest` is None of one refused."""

    def __init__(self, name: str, digest: str | None, replicas: Sequence[Replica]) -> None:
        self.name = name
        self.replicas = replicas
        self.ready = [one for one in replicas if one.ready]
        self.loaded = {one.pod for one in replicas if one.has_loaded(name, digest)}
        found = ((one.pod, one.failure_of(name, digest)) for one in replicas)
        self.failures = {pod: state for pod, state in found if state is not None}
        open_ = [(one.pod, one.state_of(name)) for one in self.ready if one.pod not in self.loaded]
        told = {pod: state for pod, state in open_ if state and state.wanted == digest}
        self.waiting = [state.state for state in told.values()]
        down = Reason.SERVER_UNAVAILABLE
        self.down = [pod for pod, state in told.items() if state.reason == down]

    @property
    def is_loaded(self) -> bool:
        """Whether there is a ready replica, and each of them has the model."""
        return bool(self.ready) and all(one.pod in self.loaded for one in self.ready)

    def failing(self) -> tuple[str, ModelState] | None:
        """Give the first failure that counts: on ready replicas, or on any if none is."""
        candidates = self.ready or self.replicas
        for one in candidates:
            if one.pod in self.failures:
                return one.pod, self.failures[one.pod]
        return None

    def copies(self) -> dict[str, Any]:
        total, loaded = len(self.replicas), len(self.loaded)
        return {
            "total": total,
            "loaded": loaded,
            "failed": len(self.failures),
            "summary": f"{loaded}/{total}",
        }


def _admission(model: TrainedModel, parent: Parent | None) -> list[Condition]:
    """Make the three conditions of upstream's (contract §5.4)."""
    kinds = reasons.Condition
    if parent is None:
        missing = Reason.INFERENCE_SERVICE_NOT_FOUND
        message = (
            f'InferenceService "{model.inference_service}" does not exist in namespace'
            f' "{model.metadata.namespace}"; the model is served as soon as it does.'
        )
        return [
            Condition(kinds.INFERENCE_SERVICE_READY, FALSE, missing, message),
            Condition(kinds.IS_MMS_PREDICTOR, UNKNOWN, missing, message),
            Condition(kinds.MEMORY_RESOURCE_AVAILABLE, UNKNOWN, missing, message),
        ]
    return [_parent_ready(model, parent), _is_mms(model, parent), _memory(model, parent)]


def _parent_ready(model: TrainedModel, parent: Parent) -> Condition:
    kind = reasons.Condition.INFERENCE_SERVICE_READY
    if parent.ready:
        return Condition(kind, TRUE)
    # The service's own reason stays in its status: here it would cost one write per model
    # each time it changes.
    return Condition(
        kind,
        FALSE,
        Reason.INFERENCE_SERVICE_NOT_READY,
        f'InferenceService "{model.inference_service}" is not ready; its conditions say why.',
    )


def _is_mms(model: TrainedModel, parent: Parent) -> Condition:
    kind = reasons.Condition.IS_MMS_PREDICTOR
    if parent.is_mms:
        return Condition(kind, TRUE)
    return Condition(
        kind,
        FALSE,
        Reason.IS_NOT_MMS_PREDICTOR,
        f'InferenceService "{model.inference_service}" takes no TrainedModels: it loads one'
        " model of its own, or its spec is refused; its conditions say which.",
    )


def _memory(model: TrainedModel, parent: Parent) -> Condition:
    kind = reasons.Condition.MEMORY_RESOURCE_AVAILABLE
    if parent.admitted:
        return Condition(kind, TRUE)
    if not parent.is_mms or parent.memory.limit is None:
        return Condition(
            kind,
            UNKNOWN,
            Reason.NOT_ADMITTED,
            f'InferenceService "{model.inference_service}" admits no models as it is.',
        )
    message = _shortage(model, parent.memory, parent.memory.limit)
    return Condition(kind, FALSE, Reason.MEMORY_RESOURCE_NOT_AVAILABLE, message)


def _shortage(model: TrainedModel, memory: Memory, limit: Decimal) -> str:
    wanted = quantities.parse(model.memory)
    takes = f"The model wants {_bytes(wanted)} of memory"
    if memory.room is not None and wanted <= limit - memory.admitted:
        return (
            f"{takes}, for which there is room in the server's limit of {_bytes(limit)}, but a pod"
            f" still runs with {_bytes(memory.room)}; it is admitted when no pod does."
        )
    return (
        f"{takes}, but of the server's limit of {_bytes(limit)} the models admitted before it take"
        f" {_bytes(memory.admitted)}; raise the limit in InferenceService"
        f' "{model.inference_service}" or delete a model.'
    )


def _loaded(view: _View, parent: Parent | None) -> tuple[Condition, bool]:
    """Make ModelLoaded, and tell whether it is more than a passing state."""
    kind = reasons.Condition.MODEL_LOADED
    if parent is None:
        message = "There is no server to load the model."
        return Condition(kind, UNKNOWN, Reason.INFERENCE_SERVICE_NOT_FOUND, message), False
    if not parent.admitted:
        message = "The model is not admitted, so no server is told to load it."
        return Condition(kind, FALSE, Reason.NOT_ADMITTED, message), True
    if view.is_loaded:
        return Condition(kind, TRUE, Reason.LOADED), True
    failing = view.failing()
    if failing:
        _, state = failing
        return Condition(kind, FALSE, state.reason, _failure_message(state)), True
    return _unsettled(view), False


def _refused(view: _View, fault: StalledError) -> tuple[Condition, bool]:
    """Say why the model as it is wanted is not served at all: what was before it stays."""
    answers = any(one.answers(view.name) for one in view.ready)
    message = f"{fault.message}{_KEPT}" if answers else fault.message
    return Condition(reasons.Condition.MODEL_LOADED, FALSE, fault.reason, message), True


def _serving(view: _View) -> Condition:
    """Tell whether some version answers, be it the one before: Ready does not depend on it."""
    kind = reasons.Condition.SERVING
    if unanswered := _unanswered(view, kind):
        return replace(unanswered, severity=INFO)
    count = sum(one.answers(view.name) for one in view.ready)
    if count == len(view.ready):
        return Condition(kind, TRUE, severity=INFO)
    message = f"The model answers on {count} of {len(view.ready)} ready replicas."
    return Condition(kind, FALSE, Reason.MODEL_NOT_LOADED, message, INFO)


def _unanswered(view: _View, kind: reasons.Condition) -> Condition | None:
    """Say that nobody is there to be asked, or that somebody does not answer."""
    if not view.ready:
        total = len(view.replicas)
        message = f"None of the server's {total} replicas is ready." if total else _NO_REPLICA
        return Condition(kind, FALSE, Reason.NO_READY_REPLICA, message)
    mute = [one.pod for one in view.ready if not one.reachable]
    if mute:
        message = (
            f"The agents of {len(mute)} of {len(view.ready)} ready replicas do not answer;"
            f' see the log of container agent in pod "{mute[0]}".'
        )
        return Condition(kind, UNKNOWN, Reason.AGENT_UNREACHABLE, message)
    return None


def _unsettled(view: _View) -> Condition:
    kind = reasons.Condition.MODEL_LOADED
    if unanswered := _unanswered(view, kind):
        return unanswered
    bare = [one.pod for one in view.ready if not one.has_agent]
    if bare:
        message = f"{len(bare)} of {len(view.ready)} ready replicas are still without an agent."
        return Condition(kind, FALSE, Reason.MODEL_NOT_LOADED, message)
    if view.down:
        message = (
            f"The model server does not answer on {len(view.down)} of {len(view.ready)} ready"
            f' replicas; see the log of its container in pod "{view.down[0]}".'
        )
        return Condition(kind, FALSE, Reason.SERVER_UNAVAILABLE, message)
    reason = next(
        (_PASSING[state] for state in (State.LOADING, State.DOWNLOADING) if state in view.waiting),
        Reason.PENDING,
    )
    done = sum(one.pod in view.loaded for one in view.ready)
    return Condition(
        kind, FALSE, reason, f"The model is loaded on {done} of {len(view.ready)} ready replicas."
    )


def _failure_message(state: ModelState) -> str:
    return f"{state.message}{_KEPT}" if state.loaded else state.message


def _last_failure(
    view: _View, old: Mapping[str, Any], generation: int, now: datetime
) -> Mapping[str, Any] | None:
    """Keep a failure from when it was first seen until the model, as it is now, is in."""
    before: Mapping[str, Any] | None = old.get("lastFailureInfo")
    failing = view.failing() or next(iter(view.failures.items()), None)
    if failing is None:
        stays = not view.is_loaded and old.get("observedGeneration") == generation
        return before if stays else None
    pod, state = failing
    info = {"reason": state.reason, "message": state.message, "pod": pod}
    if before and all(before.get(key) == value for key, value in info.items()):
        return before
    return {**info, "time": conditions.timestamp(now)}


def _bytes(value: Decimal) -> str:
    """Write bytes for a person: the largest binary unit that leaves no rest."""
    for unit, size in _STEPS:
        if value and value % size == 0:
            return f"{value // size:f}{unit}"
    return f"{value.normalize():f} bytes"
