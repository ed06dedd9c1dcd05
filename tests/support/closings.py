"""Waiting until sockets are closed: over TLS an end says goodbye and waits for the other's.

A loop that ends before leaves a transport behind, and the next test would be blamed for it.
"""

import asyncio
from collections.abc import Collection
from typing import Protocol

_SECONDS = 30  # asyncio's own patience with a goodbye


class Descriptor(Protocol):
    """A socket, or what asyncio shows of one."""

    def fileno(self) -> int:
        """Its number; -1 once it is closed."""


async def closed(sockets: Collection[Descriptor]) -> None:
    """Wait until all are closed.

    Raises:
        TimeoutError: one is not.
    """
    async with asyncio.timeout(_SECONDS):
        while any(each.fileno() != -1 for each in sockets):  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0.005)
