"""Makes the children in the cluster equal to the plan: writes only what differs."""

import logging
from typing import Final

from shoal import logs, names
from shoal.cluster import differences, kinds
from shoal.cluster.ports import ApiError, Body, Cluster
from shoal.cluster.store import Store
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.reconcile import plans
from shoal.reconcile.observations import Observed
from shoal.reconcile.plans import Plan

_log: Final = logging.getLogger(__name__)


async def children(cluster: Cluster, store: Store, seen: Observed, plan: Plan) -> None:
    """Apply the planned children in their order, then delete the leftovers.

    Raises:
        StalledError: an object of that name is somebody else's, or the API server says that
            the object can never be accepted.
        ApiError: the API server refused for now.
    """
    service = seen.service
    if service is None or plan.fault is not None:
        return
    for body in plan.children:
        await _apply(cluster, store, seen, body)
    for body in plans.leftovers(seen, plan):
        await _delete(cluster, body)


async def adoptions(cluster: Cluster, store: Store, seen: Observed) -> None:
    """Tie the TrainedModels to their InferenceService."""
    if seen.service is None:
        return
    for model in seen.models:
        if body := plans.adoption(model, seen.service):
            try:
                store.put(kinds.TRAINED_MODEL, await cluster.apply(body))
            except ApiError:
                # Deleted, or deleted and made anew, meanwhile: the next pass sees that. To
                # apply to what is gone means to create it, which is not ours to do.
                meta = model["metadata"]
                live = await cluster.get(kinds.TRAINED_MODEL, meta["namespace"], meta["name"])
                if live is not None and live["metadata"]["uid"] == meta["uid"]:
                    raise


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
        raise StalledError(
            Reason.NOT_OWNED,
            f"{kind.kind} {meta['name']} exists and is not this InferenceService's; "
            "delete or rename it, or rename the InferenceService",
        )
    if live is not None and not differences.differs(body, live, names.FIELD_MANAGER):
        return
    try:
        applied = await cluster.apply(body)
    except ApiError as error:
        if error.is_final:
            raise StalledError(Reason.RECONCILE_FAILED, error.message) from error
        raise
    store.put(kind, applied)
    verb = "changed" if live else "made"
    extra = logs.subject(*seen.key)
    _log.info("%s %s %s", verb, kind.kind, meta["name"], extra=extra)


async def _delete(cluster: Cluster, body: Body) -> None:
    kind, meta = kinds.of(body), body["metadata"]
    await cluster.delete(kind, meta["namespace"], meta["name"], meta["uid"])
    _log.info(
        "deleted %s %s",
        kind.kind,
        meta["name"],
        extra=logs.subject(meta["namespace"], meta["name"]),
    )
