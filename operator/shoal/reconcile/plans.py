"""Decides what should be, from what was observed; pure, so that tables can test it.

A plan is made even where something is wrong: its `fault` then says what, its children stay
as they are, and the statuses are computed all the same.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from shoal import names
from shoal.api import inferenceservices, modelstorages, servingruntimes, trainedmodels
from shoal.api.inferenceservices import InferenceService
from shoal.api.servingruntimes import Runtime
from shoal.api.settings import ServingConfig
from shoal.api.trainedmodels import TrainedModel
from shoal.cluster import kinds
from shoal.cluster.ports import Body
from shoal.desired import admission, children, downloaders, hosts, storagecontainers, urls
from shoal.desired.storagecontainers import Choice
from shoal.desired.wanted import Wanted
from shoal.errors import ReconcileError, StalledError
from shoal.reasons import Reason
from shoal.reconcile import livelists, observations, rollouts
from shoal.reconcile.livelists import LiveList
from shoal.reconcile.observations import Observed
from shoal.runtimes import pins, servers
from shoal.runtimes.servers import Server


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a service answers; empty while its spec gives no answer to that."""

    url: str = ""
    component_url: str = ""
    address: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What should be, and what keeps it from being."""

    service: InferenceService | None = None
    server: Server | None = None
    models: tuple[TrainedModel, ...] = ()
    is_host: bool = False
    admitted: frozenset[str] = frozenset()
    live_shards: int = 1
    limit: Decimal | None = None
    room: Decimal | None = None  # what pods have that are still to get that limit
    addresses: Addresses = Addresses()
    children: tuple[Body, ...] = ()
    entry_taken: bool = False
    outdated: ReconcileError | None = None
    storage: Choice = field(default_factory=Choice)
    lacks_keda: bool = False
    begins_rollout: bool = False
    fault: ReconcileError | None = None
    broken_models: Mapping[str, StalledError] = field(default_factory=dict)

    @property
    def parsed(self) -> InferenceService:
        """The service, where there is one.

        Raises:
            LookupError: there is none, or it could not be parsed.
        """
        if self.service is None:
            raise LookupError("this plan has no service")
        return self.service


def make(
    seen: Observed,
    config: ServingConfig,
    *,
    entry_service: bool,
    may_grant_secrets: bool = True,
    authority: str = "",
    may_roll: bool = True,
) -> Plan:
    """Make the plan of one service.

    Args:
        seen: what was observed.
        config: the `inferenceservice-config` in force.
        entry_service: whether the Service named as the InferenceService may be ours.
        may_grant_secrets: whether the operator holds the right that agents read Secrets by.
        authority: the CA bundle in force; "" is none, or not known.
        may_roll: whether pods may be made anew for what the user did not change.
    """
    live = livelists.read(seen)
    models, broken = _models(seen, live)
    plan = Plan(
        models=models,
        broken_models=broken,
        is_host=_was_host(seen),
        admitted=live.models,
        live_shards=live.shards,
        entry_taken=not entry_service,
    )
    if seen.service is None:
        return plan
    try:
        plan = replace(plan, service=inferenceservices.parse(seen.service))
        protocol = servers.known_protocol(plan.parsed, _deployment(seen))
        plan = replace(plan, addresses=_addresses(plan.parsed, config, protocol))
        wanted = replace(
            _wanted(plan, seen, config),
            may_grant_secrets=may_grant_secrets,
            authority=authority or _kept_authority(seen),
        )
        held = rollouts.held_back(wanted, may_roll=may_roll)
        if held:
            wanted = replace(wanted, server=servers.held(wanted.server, wanted.deployment or {}))
        return _complete(plan, wanted, held, seen.pods)
    except StalledError as error:
        return replace(plan, fault=error)


def leftovers(seen: Observed, plan: Plan) -> list[Body]:
    """Return the children that we made and that should be no more.

    Only what the InferenceService owns and what our field manager applied is ours. A
    stopped service keeps its list of models (contract §2.12), in all its ConfigMaps.
    """
    if seen.service is None or plan.service is None or plan.fault is not None:
        return []
    wanted = {(body["kind"], body["metadata"]["name"]) for body in plan.children}
    keeps = {kinds.CONFIG_MAP.kind} if children.is_stopped(plan.service) else set()
    return [
        body
        for body in seen.children
        if (body["kind"], body["metadata"]["name"]) not in wanted
        and body["kind"] not in keeps
        and is_owned(body, seen.service)
        and is_applied(body)
    ]


def is_owned(body: Body, service: Body) -> bool:
    """Tell whether an object is this InferenceService's, by the owner's uid."""
    owners = body["metadata"].get("ownerReferences") or ()
    return any(
        owner["uid"] == service["metadata"]["uid"] and owner.get("controller") for owner in owners
    )


def is_applied(body: Body) -> bool:
    """Tell whether our field manager made an object."""
    entries = body["metadata"].get("managedFields") or ()
    return any(entry.get("manager") == names.FIELD_MANAGER for entry in entries)


def adoptions(seen: Observed) -> list[Body]:
    """Make the metadata that ties TrainedModels to their InferenceService, where it is missing.

    The owner reference makes Kubernetes delete the model with its service; the label is
    upstream's (contract §10.1).
    """
    if seen.service is None:
        return []
    lost = {body["metadata"]["uid"] for body in widowed(seen)}
    return [
        _adoption(body, seen.service)
        for body in seen.models
        if body["metadata"]["uid"] not in lost and not _is_adopted(body, seen.service)
    ]


def widowed(seen: Observed) -> list[Body]:
    """Return the TrainedModels that were another InferenceService's of the same name.

    They go with it, also when one of its name is made anew at once. Kubernetes would delete
    them too, but a thousand of them in minutes, and not before somebody adopts them.
    """
    uid = seen.service["metadata"]["uid"] if seen.service else None
    return [body for body in seen.models if owner_uid(body) not in (None, uid)]


def owner_uid(model: Body) -> str | None:
    """Return the uid of the InferenceService that owns a model and that it still names.

    Until it is adopted, its status says whose it is. One without owner that was adopted before,
    by its label, was orphaned on purpose.
    """
    meta, service = model["metadata"], model["spec"]["inferenceService"]
    for row in meta.get("ownerReferences") or ():
        if _is_service(row) and row["name"] == service:
            return str(row["uid"])
    served = (model.get("status") or {}).get("inferenceService") or {}
    is_new = names.TRAINED_MODEL_PARENT_LABEL not in (meta.get("labels") or {})
    return served.get("uid") if is_new and served.get("name") == service else None


def _is_adopted(model: Body, service: Body) -> bool:
    meta, owner = model["metadata"], service["metadata"]
    owners = [row["uid"] for row in meta.get("ownerReferences") or () if _is_service(row)]
    label = (meta.get("labels") or {}).get(names.TRAINED_MODEL_PARENT_LABEL)
    return bool(label == owner["name"]) and owners == [owner["uid"]]


def _adoption(model: Body, service: Body) -> Body:
    meta, owner = model["metadata"], service["metadata"]
    reference = {
        "apiVersion": kinds.INFERENCE_SERVICE.api_version,
        "kind": kinds.INFERENCE_SERVICE.kind,
        "name": owner["name"],
        "uid": owner["uid"],
    }
    return {
        "apiVersion": kinds.TRAINED_MODEL.api_version,
        "kind": kinds.TRAINED_MODEL.kind,
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "labels": {names.TRAINED_MODEL_PARENT_LABEL: owner["name"]},
            "ownerReferences": [reference],
        },
    }


def _is_service(owner: Body) -> bool:
    return bool(owner["kind"] == kinds.INFERENCE_SERVICE.kind)


def _models(
    seen: Observed, live: LiveList
) -> tuple[tuple[TrainedModel, ...], dict[str, StalledError]]:
    """Read the models; of one that cannot be read what is listed of it stays."""
    models: list[TrainedModel] = []
    broken: dict[str, StalledError] = {}
    for body in seen.models:
        try:
            models.append(trainedmodels.parse(body))
        except StalledError as error:
            name = body["metadata"]["name"]
            if entry := live.entries.get(name):
                models.append(trainedmodels.kept(body, entry, error))
            else:
                broken[name] = error
    return tuple(models), broken


def _addresses(
    service: InferenceService, config: ServingConfig, protocol: str, port: int = 0
) -> Addresses:
    return Addresses(
        url=urls.url(config, service, port),
        component_url=urls.component_url(config, service, port),
        address=urls.address(config, service, port),
        protocol=protocol,
    )


def _wanted(plan: Plan, seen: Observed, config: ServingConfig) -> Wanted:
    """Collect what the children are made of, but for the models that are admitted."""
    service = plan.parsed
    digest = pins.digest((seen.service or {})["spec"]["predictor"])
    deployment = deployment_of(service, seen)
    storage = _storage(service, seen, storagecontainers.held(deployment, digest))
    server = servers.resolve(service, digest, _runtimes(seen), deployment)
    if storage.concern:
        server = servers.held(server, deployment or {})
    return Wanted(
        service=service,
        config=config,
        server=server,
        live_shards=plan.live_shards,
        is_host=hosts.is_host(
            service, server, named_by_model=bool(plan.models), already=plan.is_host
        ),
        secrets=_secrets(seen),
        account=_account(seen),
        storage=storage,
        entry_service=not plan.entry_taken,
        has_keda=seen.has_keda,
        kubernetes=seen.kubernetes,
        predictor_digest=digest,
        source_digest=rollouts.source(server.pin, seen.runtimes, config, storage.container),
        deployment=deployment,
        make_room=observations.needs_room(seen.pods),
    )


def _complete(
    plan: Plan, wanted: Wanted, held: ReconcileError | None, pods: Sequence[Body]
) -> Plan:
    server = wanted.server
    limit = admission.limit(server, wanted.config)
    room = admission.room(limit, pods)
    admitted = admission.admit(plan.models, limit, plan.admitted, room)
    models = tuple(model.entry for model in plan.models if model.metadata.name in admitted)
    wanted = replace(wanted, models=models)
    made = tuple(children.make(wanted))
    return replace(
        plan,
        server=server,
        addresses=_addresses(
            wanted.service, wanted.config, server.protocol, servers.server_port(server.container)
        ),
        is_host=wanted.is_host,
        admitted=admitted,
        limit=limit,
        room=room,
        children=made,
        outdated=held or rollouts.outdated(wanted, made),
        storage=replace(wanted.storage, doubt=downloaders.doubt(wanted) or wanted.storage.doubt),
        lacks_keda=children.lacks_keda(wanted),
        begins_rollout=any(rollouts.begins_with(wanted.deployment, body) for body in made),
    )


def _was_host(seen: Observed) -> bool:
    meta = (_deployment(seen) or {}).get("metadata") or {}
    annotations = meta.get("annotations") or {}
    return bool(annotations.get(names.AGENT_ANNOTATION) == "true")


def _deployment(seen: Observed) -> Body | None:
    """Return the Deployment that is ours, also where the spec that names it cannot be read."""
    service = seen.service
    if service is None:
        return None
    ours = (body for body in seen.children if is_owned(body, service) and is_applied(body))
    return next((body for body in ours if body["kind"] == kinds.DEPLOYMENT.kind), None)


def deployment_of(service: InferenceService, seen: Observed) -> Body | None:
    """Return the Deployment of a service's predictor, whoever labelled others like it."""
    name = names.predictor(service.metadata.name, service.predictor.name)
    return seen.child(kinds.DEPLOYMENT, name)


def _runtimes(seen: Observed) -> list[Runtime]:
    """Read the runtimes; one that cannot be read serves nobody."""
    runtimes = []
    for body in seen.runtimes:
        with contextlib.suppress(StalledError):
            runtimes.append(servingruntimes.parse(body))
    return runtimes


def _storage(service: InferenceService, seen: Observed, held: str | None) -> Choice:
    """Choose who fetches the service's own models.

    Raises:
        StalledError: nobody does, or the service asks for what is not served at all.
    """
    is_fetched = modelstorages.is_fetched(service.predictor)
    containers = storagecontainers.read(seen.storage_containers) if is_fetched else []
    choice = storagecontainers.choose(service.predictor, containers, held)
    if told := inferenceservices.unsupported(service, by_others=bool(choice.name)):
        hints = choice.hints if inferenceservices.unfetched(service.predictor) else ()
        raise StalledError(Reason.NOT_SUPPORTED, "; ".join([*told, *hints]))
    return choice


def _account(seen: Observed) -> dict[str, str]:
    """Read the annotations of the pods' ServiceAccount."""
    return dict((seen.account or {}).get("metadata", {}).get("annotations") or {})


def _kept_authority(seen: Observed) -> str:
    """Read the copy that there is, which stays while it is not known what it is a copy of."""
    body = seen.child(kinds.CONFIG_MAP, names.ca_bundle(seen.key[1])) or {}
    return str((body.get("data") or {}).get(names.CA_BUNDLE_KEY, ""))


def _secrets(seen: Observed) -> tuple[str, ...]:
    rows = (seen.account or {}).get("secrets") or ()
    return tuple(sorted({row["name"] for row in rows if row.get("name")}))
