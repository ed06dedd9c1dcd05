"""Makes the children in the cluster equal to the plan: writes only what differs."""

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from shoal import logs, names
from shoal.cluster import differences, kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body, Cluster
from shoal.cluster.store import Store
from shoal.desired import modelimages, services
from shoal.errors import WaitingError
from shoal.reasons import Reason
from shoal.reconcile import plans
from shoal.reconcile.observations import Observed
from shoal.reconcile.plans import Plan

_log: Final = logging.getLogger(__name__)
_WRITES_AT_ONCE: Final = 30
_GATE_SECONDS: Final = 60.0  # nothing tells that a feature gate was opened
# Nor that a policy was changed, or that an object of somebody else's was removed.
AGAIN_SECONDS: Final = 30.0


async def children(cluster: Cluster, store: Store, seen: Observed, plan: Plan) -> None:
    """Apply the planned children in their order, then delete the leftovers; old scalers first.

    Raises:
        WaitingError: an object of that name is somebody else's, or the API server does not accept
            ours, or would leave out what the pods need.
        ApiError: the API server refused for now.
    """
    service = seen.service
    if service is None or plan.fault is not None:
        return
    leftovers = plans.leftovers(seen, plan)
    # Two that scale one Deployment fight; KEDA refuses to be the second.
    scalers = [body for body in leftovers if kinds.of(body) in kinds.SCALERS]
    for body in scalers:
        await _delete(cluster, body)
    for body in plan.children:
        await _apply(cluster, store, seen, body)
    for body in leftovers:
        if body not in scalers:
            await _delete(cluster, body)


async def ownerships(cluster: Cluster, store: Store, seen: Observed, at_most: int | None) -> bool:
    """Tie TrainedModels to their InferenceService; delete those of one that was deleted.

    `at_most` bounds how many are tied.

    Returns:
        Whether some are still to be tied.

    Raises:
        ApiError: the API server refused for now.
    """
    adoptions = plans.adoptions(seen)
    async with asyncio.TaskGroup() as tasks:
        slots = asyncio.Semaphore(_WRITES_AT_ONCE)
        for body in adoptions[:at_most]:
            tasks.create_task(_adopt(cluster, store, slots, body))
        for body in await _widowed(cluster, seen):
            tasks.create_task(_bury(cluster, slots, body))
    return at_most is not None and len(adoptions) > at_most


async def _adopt(cluster: Cluster, store: Store, slots: asyncio.Semaphore, body: Body) -> None:
    async with slots:
        try:
            applied = await cluster.apply(body)
        except ApiError as error:
            if not error.is_absence:
                raise
            return
    store.put(kinds.TRAINED_MODEL, applied)


async def _widowed(cluster: Cluster, seen: Observed) -> list[Body]:
    """Return the models whose service is surely gone: the store alone is not trusted."""
    widowed = plans.widowed(seen)
    if not widowed:
        return []
    services = await cluster.list(kinds.INFERENCE_SERVICE, seen.key[0])
    living = {body["metadata"]["uid"] for body in services}
    return [body for body in widowed if plans.owner_uid(body) not in living]


async def _bury(cluster: Cluster, slots: asyncio.Semaphore, body: Body) -> None:
    """Delete a model as it was seen: one that was orphaned since, on purpose, stays."""
    meta = body["metadata"]
    place = (kinds.TRAINED_MODEL, meta["namespace"], meta["name"])
    async with slots:
        await cluster.delete(*place, meta["uid"], meta["resourceVersion"])


async def may_have_entry_service(cluster: Cluster, seen: Observed) -> bool:
    """Tell whether the Service named as the InferenceService is ours or still free."""
    if seen.service is None:
        return False
    namespace, name = seen.key
    entry = names.entry_service(name)
    live = seen.child(kinds.SERVICE, entry) or await cluster.get(kinds.SERVICE, namespace, entry)
    return live is None or plans.is_owned(live, seen.service)


async def _apply(cluster: Cluster, store: Store, seen: Observed, body: Body) -> None:
    kind, meta = kinds.of(body), body["metadata"]
    live = seen.child(kind, meta["name"]) or await cluster.get(
        kind, meta["namespace"], meta["name"]
    )
    if live is not None and seen.service is not None and not plans.is_owned(live, seen.service):
        raise WaitingError(
            Reason.NOT_OWNED,
            f"{kind.kind} {meta['name']} exists and is not this InferenceService's; "
            "delete or rename it, or rename the InferenceService",
            delay=AGAIN_SECONDS,
        )
    if live is not None and _is_fixed(kind, body, live):
        await _delete(cluster, live)
        live = None
    if live is not None and not differences.differs(body, live, names.FIELD_MANAGER):
        return
    try:
        if images := modelimages.of_pods(body) if kind is kinds.DEPLOYMENT else set():
            _refuse_less(images - modelimages.of_pods(await cluster.rehearse(body)))
        applied = await cluster.apply(body)
    except ApiError as error:
        if error.is_final:
            again = AGAIN_SECONDS
            raise WaitingError(Reason.RECONCILE_FAILED, error.message, delay=again) from error
        raise
    store.put(kind, applied)
    verb = "changed" if live else "made"
    extra = logs.subject(*seen.key)
    _log.info("%s %s %s", verb, kind.kind, meta["name"], extra=extra)


def _refuse_less(left_out: Collection[str]) -> None:
    """Refuse pods without volumes that the API server takes out unasked, with their mounts."""
    if left_out:
        raise WaitingError(
            Reason.NOT_SUPPORTED,
            f"The API server leaves out volumes that are images: {', '.join(sorted(left_out))};"
            " open its feature gate ImageVolume, or write oci:// with ociModelMode modelcar in the"
            " configuration (storageInitializer).",
            delay=_GATE_SECONDS,
        )


def _is_fixed(kind: Kind, body: Body, live: Body) -> bool:
    """Tell whether an object is to be what it cannot become: a Service with or without address."""
    if kind is not kinds.SERVICE:
        return False
    ips = [one["spec"].get("clusterIP") == services.HEADLESS for one in (body, live)]
    return bool(ips[0] != ips[1])


async def _delete(cluster: Cluster, body: Body) -> None:
    kind, meta = kinds.of(body), body["metadata"]
    await cluster.delete(kind, meta["namespace"], meta["name"], meta["uid"])
    _log.info(
        "deleted %s %s",
        kind.kind,
        meta["name"],
        extra=logs.subject(meta["namespace"], meta["name"]),
    )
