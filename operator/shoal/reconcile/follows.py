"""Keeps up with one ConfigMap for ever. Callers: configurations, bundles."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Never

from shoal.cluster import kinds
from shoal.cluster.ports import ApiError, Body, Watcher

_log: Final = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 2.0


async def config_map(
    watcher: Watcher, namespace: str, name: str, offer: Callable[[Body | None], Awaitable[None]]
) -> Never:
    """Offer the ConfigMap as it is now, and each time that it changed; None while it is absent."""
    while True:
        try:
            async with contextlib.aclosing(
                watcher.watch(kinds.CONFIG_MAP, namespace, name)
            ) as bodies:
                async for body in bodies:
                    await offer(body)
        except (ApiError, OSError) as error:
            _log.warning("watch of %s/%s: %s", namespace, name, error)
        await asyncio.sleep(_RETRY_SECONDS)
