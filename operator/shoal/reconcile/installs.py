"""The runtimes that the chart brings, applied and kept by the operator that leads.

Helm cannot make them itself: it looks for every kind before it makes the first object, and
their definition comes with the same release.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shoal import names
from shoal.cluster import differences, kinds
from shoal.cluster.ports import ApiError, Body, Cluster
from shoal.cluster.store import Key, Store

_log: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 5.0


def read(folder: str) -> list[Body]:
    """Read the manifests in a folder, one a file; without a folder there are none.

    Raises:
        ValueError: a file holds no JSON.
    """
    paths = sorted(Path(folder).glob("*.json")) if folder else []
    return [json.loads(path.read_text()) for path in paths]


async def apply(
    cluster: Cluster, store: Store, runtimes: list[Body], wake: Callable[[Key], None]
) -> list[str]:
    """Apply the ClusterServingRuntimes that differ from what the store has.

    Those whom one concerns are woken here: the watch will bring what the store has by then.

    Returns:
        Why some were refused, a sentence for each.
    """
    kind = kinds.CLUSTER_SERVING_RUNTIME
    refusals = []
    for body in runtimes:
        name = body["metadata"]["name"]
        live = store.get(kind, "", name)
        if live is not None and not differences.differs(body, live, names.FIELD_MANAGER):
            continue
        try:
            concerned = store.put(kind, await cluster.apply(body))
        except ApiError as error:
            refusals.append(f"{kind.kind} {name}: {error}")
        else:
            _log.info("%s %s %s", "changed" if live else "made", kind.kind, name)
            for key in concerned:
                wake(key)
    return refusals


async def keep(
    cluster: Cluster, store: Store, runtimes: list[Body], wake: Callable[[Key], None]
) -> None:
    """Bring back for ever what others take away or change; looks at the store alone."""
    told: list[str] = []
    while True:
        if (refusals := await apply(cluster, store, runtimes, wake)) != told:
            told = refusals
            _log.error("the chart's runtimes: %s", "; ".join(told) or "all are in by now")
        await asyncio.sleep(_LOOK_SECONDS)
