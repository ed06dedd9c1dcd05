"""Judges what is true after the apply: the status of a service and of each of its models.

Pure: what was observed and planned in, whole statuses out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shoal import reasons
from shoal.api import inferenceservices
from shoal.api.trainedmodels import TrainedModel
from shoal.cluster import kinds
from shoal.cluster.ports import Body
from shoal.desired import admission, children, urls
from shoal.errors import ReconcileError, StalledError
from shoal.reconcile.observations import Observed
from shoal.reconcile.plans import Plan, deployment_of, owner_uid
from shoal.status import conditions, trainedmodels
from shoal.status import inferenceservices as services
from shoal.status.conditions import FALSE, TRUE, Condition
from shoal.status.replicas import Replica
from shoal.status.trainedmodels import Memory, Parent, TrainedModelStatus

Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Statuses, whole; `service` is None where there is no service to report on."""

    service: Status | None
    models: Mapping[str, TrainedModelStatus]


def judge(
    seen: Observed,
    plan: Plan,
    replicas: Sequence[Replica],
    fault: ReconcileError | None,
    now: datetime,
    *,
    is_passing: bool = False,
) -> Verdict:
    """Judge one service; `fault` is what kept the children from being as planned.

    One that passes by itself says nothing of models: thousands would be written of, twice.
    """
    told = {body["metadata"]["name"]: _ending(body, now) for body in seen.ending}
    bodies = {body["metadata"]["name"]: body for body in seen.models}
    uid = seen.service["metadata"]["uid"] if seen.service else ""
    for name, error in plan.broken_models.items():
        told[name] = _broken(bodies[name], error, uid, now)
    if seen.service is None:
        waiting = {m.metadata.name: _model(m, None, bodies, now) for m in plan.models}
        return Verdict(None, told | waiting)
    if plan.service is None:
        parent = replace(_parent(plan, replicas, ready=False), uid=uid)
        waiting = {m.metadata.name: _model(m, (plan, parent), bodies, now) for m in plan.models}
        return Verdict(_unreadable(seen.service, plan.fault, now), told | waiting)
    facts = _facts(seen, plan, fault)
    old = seen.service.get("status") or {}
    lasting = replace(facts, error=None) if is_passing else facts
    is_ready = services.may_serve(services.compute(plan.service, lasting, old=old, now=now))
    parent = replace(_parent(plan, replicas, ready=is_ready), uid=uid)
    models = {m.metadata.name: _model(m, (plan, parent), bodies, now) for m in plan.models}
    if plan.is_host:
        facts = replace(facts, models=(len(models), sum(map(_is_loaded, models.values()))))
    status = services.compute(plan.service, facts, old=old, now=now)
    return Verdict(status, told | models)


def _facts(seen: Observed, plan: Plan, fault: ReconcileError | None) -> services.Facts:
    service = plan.parsed
    ingresses = {body["metadata"]["name"] for body in plan.children if _is_ingress(body)}
    there = {body["metadata"]["name"] for body in seen.children if _is_ingress(body)}
    return services.Facts(
        deployment=deployment_of(service, seen),
        pods=seen.pods,
        has_ingress=bool(there) if plan.fault else ingresses <= there,
        stopped=children.is_stopped(service),
        error=fault,
        ignored=inferenceservices.ignored(service),
        misspelt=inferenceservices.misspelt(service),
        entry_taken=plan.entry_taken,
        runtime=_runtime(plan),
        storage=_storage(plan),
        outdated=plan.outdated,
        lacks_keda=plan.lacks_keda,
        scaled_object=next(filter(_is_scaled_object, seen.children), None),
        url=plan.addresses.url,
        address=plan.addresses.address,
        predictor_url=plan.addresses.component_url,
    )


def _runtime(plan: Plan) -> services.RuntimeUse | None:
    server = plan.server
    if server is None or server.pin is None:
        return None
    return services.RuntimeUse(server.pin.kind, server.pin.name, server.concern)


def _storage(plan: Plan) -> services.StorageUse:
    storage = plan.storage
    return services.StorageUse(storage.concern, storage.doubt, storage.remark)


def _is_scaled_object(body: Body) -> bool:
    return bool(body["kind"] == kinds.SCALED_OBJECT.kind)


def _is_ingress(body: Body) -> bool:
    return bool(body["kind"] == kinds.INGRESS.kind)


def _parent(plan: Plan, replicas: Sequence[Replica], *, ready: bool) -> Parent:
    used = admission.used(plan.models, plan.admitted)
    return Parent(
        ready=ready,
        is_mms=plan.is_host,
        admitted=False,
        memory=Memory(plan.limit, used, plan.room),
        replicas=replicas,
    )


def _model(
    model: TrainedModel,
    hosted: tuple[Plan, Parent] | None,
    bodies: Mapping[str, Body],
    now: datetime,
) -> TrainedModelStatus:
    body = bodies[model.metadata.name]
    old = body.get("status") or {}
    # Whose it was is kept while it is to go with that one: its status may be all that tells,
    # and is written before it is deleted.
    owner = owner_uid(body) or ""
    if hosted is None:
        return trainedmodels.compute(model, None, old=old, now=now, owner=owner)
    plan, parent = hosted
    found = plan.addresses
    # Where the protocol is not known yet, no address is right.
    path = urls.model_path(model.metadata.name, found.protocol)
    own = replace(
        parent,
        admitted=parent.is_mms and model.metadata.name in plan.admitted,
        url=found.url + path if found.url and found.protocol else "",
        address=found.address + path if found.address and found.protocol else "",
    )
    return trainedmodels.compute(model, own, old=old, now=now, owner=owner)


def _is_loaded(judged: TrainedModelStatus) -> bool:
    found = conditions.find(judged.status, reasons.Condition.MODEL_LOADED)
    return bool(found["status"] == TRUE)


def _broken(body: Body, error: StalledError, parent: str, now: datetime) -> TrainedModelStatus:
    """Make the status of a TrainedModel that cannot be read; it goes with its service too."""
    whose = trainedmodels.whose(body["spec"]["inferenceService"], owner_uid(body) or parent)
    return TrainedModelStatus({**_refused(body, error, now), **whose}, settled=True)


def _ending(body: Body, now: datetime) -> TrainedModelStatus:
    """Make the status of a TrainedModel that is being deleted: its servers unload it."""
    message = "The model is being deleted; no server is told to load it."
    error = StalledError(reasons.Reason.NOT_ADMITTED, message)
    return TrainedModelStatus(_refused(body, error, now), settled=True)


def _unreadable(body: Body, error: ReconcileError | None, now: datetime) -> Status | None:
    """Make the status of an InferenceService that cannot be read; what was known stays."""
    old = body.get("status") or {}
    return None if error is None else {**old, **_refused(body, error, now)}


def _refused(body: Body, error: ReconcileError, now: datetime) -> Status:
    generation = body["metadata"]["generation"]
    before = (body.get("status") or {}).get("conditions") or ()
    ready = Condition(reasons.Condition.READY, FALSE, error.reason, error.message)
    rows = conditions.merge(before, [ready], generation=generation, now=now)
    return {"observedGeneration": generation, "conditions": rows}
