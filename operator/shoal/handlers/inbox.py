"""Takes in what a watch brought: the object into the store, its keys into the queue."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from shoal.cluster import kinds, metrics
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body, Cluster
from shoal.cluster.store import Key, Store

_log: Final = logging.getLogger(__name__)
_GAP_SECONDS: Final = 0.5
_AGAIN_SECONDS: Final = 0.5


class Inbox:
    """Fills the store and wakes the keys that a change concerns."""

    def __init__(self, store: Store, wake: Callable[[Key], None]) -> None:
        self._store = store
        self._wake = wake

    def receive(self, kind: Kind, event_type: str | None, body: Body) -> None:
        """Take in one watch event; the type is None for what existed before the watch."""
        meta = body["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        if event_type == "DELETED":
            end = (meta.get("uid", ""), meta.get("resourceVersion", ""))
            concerned = self._store.remove(kind, namespace, name, *end)
        else:
            concerned = self._store.put(kind, body)
        if kind is kinds.SERVICE_ACCOUNT:
            concerned = self._store.users_of_account(namespace, name)
        for key in concerned:
            self._wake(key)

    async def relist(self, cluster: Cluster, namespaces: tuple[str, ...]) -> None:
        """Compare the store with what the API server lists, kind by kind, and mend it."""
        await self._learn_version(cluster)
        for kind in self._store.watched:
            before = self._store.versions(kind)
            listed = [
                body
                for namespace in (namespaces if kind.namespaced else ()) or ("",)
                for body in await cluster.list(kind, namespace)
            ]
            concerned = self._store.sweep(kind, listed, before)
            if before and concerned:
                metrics.RELIST_REPAIRS.labels(kind.plural).inc(len(concerned))
            for key in concerned:
                self._wake(key)

    async def _learn_version(self, cluster: Cluster) -> None:
        """Learn the API server's version; another one may serve what was refused before."""
        version = await cluster.version()
        if version != self._store.kubernetes:
            self._store.kubernetes = version
            for key in self._store.services():
                self._wake(key)

    async def relist_for_ever(
        self, cluster: Cluster, namespaces: tuple[str, ...], seconds: float, gap: asyncio.Event
    ) -> None:
        """Relist now and then, and soon after a gap in a watch; a failed one soon again."""
        pause, failures = seconds, 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await gap.wait()
                    await asyncio.sleep(_GAP_SECONDS)  # gaps come together
            gap.clear()
            try:
                await self.relist(cluster, namespaces)
            except ApiError as error:
                _log.warning("relist: %s", error)
                failures += 1
                pause = min(
                    seconds, max(_AGAIN_SECONDS * 2.0 ** min(failures, 6), error.retry_after)
                )
            else:
                pause, failures = seconds, 0
