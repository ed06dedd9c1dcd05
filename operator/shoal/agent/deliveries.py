"""One model brought into one folder, tried for as long as it may help.

```
 look it up ──► here already? ──► say so
      │ no
      ▼
 download beside (gone on with after a kill) ──► move in ──► drop what was before
```

With a cache that pods share, the folder gets links to what is there, and what is not there is
downloaded there first, by one of them (`caches`). Caller: commands.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shoal.agent import retries
from shoal.agent.accounts import Pace
from shoal.agent.caches import Cache
from shoal.agent.destinations import Destination
from shoal.agent.meters import Meter, amount
from shoal.reasons import Reason
from shoal.storage import failures, partials, transfers, trees
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.jobs import Sums, Terms
from shoal.storage.limits import Limits
from shoal.storage.sessions import Sessions
from shoal.storage.transfers import Source
from shoal.storage.uris import Location

_LOOK_SECONDS = 1.0  # between two looks whether another has ended
_TELL_SECONDS = 10.0

Find = Callable[[], Awaitable[tuple[Location, Credentials]]]
"""Says where a model is and what it is asked with, as both are now."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all deliveries share; `patience` are seconds without progress.

    `digest` is what was promised of the content, `sha256:<hex>`; "" promises nothing.
    """

    sessions: Sessions
    limits: Limits
    patience: float
    tell: Callable[[str], None]
    draw: Callable[[], float]
    pace: Pace = field(default_factory=Pace)
    opened: transfers.Opened = transfers.opened
    digest: str = ""
    cache: Cache | None = None


class Place(Protocol):
    """Where a download goes."""

    @property
    def disk(self) -> str:
        """What it is called where it is full."""

    def work(self, fingerprint: str) -> Path:
        """Find or make the folder of a download."""

    def room(self) -> int:
        """Count the bytes that are free."""

    def forget(self) -> None:
        """Drop a half download."""


@dataclass(frozen=True, slots=True)
class _Order:
    """One try: what is to be brought, and who is told."""

    location: Location
    known: Credentials
    meter: Meter
    tools: Tools

    @property
    def shown(self) -> str:
        return self.location.shown

    def opened(self) -> AbstractAsyncContextManager[Source]:
        tools = self.tools
        is_summed = tools.cache is not None  # whose trees are named after their content
        terms = Terms(tools.digest, tools.limits, is_summed=is_summed, is_alone=True)
        return tools.opened(self.location, self.known, tools.sessions, terms)

    def tell(self, what: str) -> None:
        self.tools.tell(f"{self.shown}: {what}")


async def run(shown: str, find: Find, folder: Path, tools: Tools) -> None:
    """Bring a model; a failure that time may heal is tried again, with its reason told.

    Raises:
        FetchError: it cannot be had, or nothing came for too long.
    """
    destination = Destination(folder)
    meter = Meter(shown, tools.tell, tools.pace.now)
    attempt = 0
    while True:
        attempt += 1
        try:
            await _bring(find, destination, meter, tools)
        except FetchError as error:
            failure = error
        except OSError as error:
            failure = failures.of_disk(meter.shown, error, destination.room())
        else:
            return
        wait = retries.delay(failure.kind, attempt, tools.draw())
        if failure.kind is not Kind.TRANSIENT or meter.quiet() + wait > tools.patience:
            raise failure
        tools.tell(f"{failure.message}; next try in {wait:.1f} s")
        await tools.pace.pause(wait)


async def _bring(find: Find, destination: Destination, meter: Meter, tools: Tools) -> None:
    location, known = await find()
    order = _Order(location, known, meter, tools)
    meter.shown = order.shown
    cache = tools.cache
    async with order.opened() as source:
        fingerprint = source.fingerprint
        if cache is None or not fingerprint:
            if cache is not None:
                order.tell(f"has no version to tell it by, so {cache.name} cannot keep it")
            await _bring_alone(order, source, destination)
            return
        tree = await asyncio.to_thread(cache.find, fingerprint)
    if tree is None:
        tree, fingerprint = await _share(order, cache, fingerprint)
    else:
        order.tell(f"is in {cache.name} already")
    await asyncio.to_thread(destination.link, tree, fingerprint)
    order.tell(f"is in {destination.folder}")


async def _bring_alone(order: _Order, source: Source, destination: Destination) -> None:
    if await asyncio.to_thread(destination.holds, source.fingerprint):
        order.tell(f"is in {destination.folder} already, nothing to do")
        return
    work, _ = await _download(order, source, destination)
    await asyncio.to_thread(destination.adopt, work, source.fingerprint)
    order.tell(f"is in {destination.folder}")


async def _share(order: _Order, cache: Cache, fingerprint: str) -> tuple[Path, str]:
    """Have it in the cache: by another pod that is fetching it, or by fetching it."""
    queue = _Queue(order, cache, fingerprint)
    try:
        async with (
            cache.turn(order.location.uri, queue.wait) as slot,
            order.opened() as source,  # as it is now: the wait may have been long
        ):
            fresh = source.fingerprint
            if not fresh:
                message = f"{order.shown}: lost its version while another pod fetched it"
                raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)
            tree = await asyncio.to_thread(cache.find, fresh)
            if tree is not None:
                order.tell(f"is in {cache.name} already")
                return tree, fresh
            work, sums = await _download(order, source, slot)
            about = {"address": order.shown, "digest": order.tools.digest}
            return await asyncio.to_thread(slot.publish, work, fresh, sums, about), fresh
    except OSError as error:
        raise cache.failure(order.shown, error) from error


class _Queue:
    """Waits for another pod, and tells that it does."""

    def __init__(self, order: _Order, cache: Cache, fingerprint: str) -> None:
        self._order, self._cache, self._fingerprint = order, cache, fingerprint
        self._begun = order.tools.pace.now()
        self._told = float("-inf")

    async def wait(self, holder: str) -> None:
        """Wait a moment.

        Raises:
            FetchError: for longer than a download may take.
        """
        order, who = self._order, holder or "another pod"
        tools, now = order.tools, order.tools.pace.now()
        if now - self._begun > tools.limits.seconds:
            message = (
                f"{order.shown}: {who} has been fetching it into {self._cache.name} for more than "
                f"{tools.limits.seconds:g} s"
            )
            raise FetchError(Kind.UNKNOWN, Reason.DOWNLOAD_FAILED, message)
        if now - self._told >= _TELL_SECONDS:
            there = await asyncio.to_thread(self._cache.coming, self._fingerprint)
            order.tell(
                f"{who} is fetching it into {self._cache.name}, {amount(there)} so far; waiting"
            )
            self._told = now
        await tools.pace.pause(_LOOK_SECONDS)
        order.meter.rest(tools.pace.now() - now)


async def _download(order: _Order, source: Source, place: Place) -> tuple[Path, Sums]:
    """Bring all of it to the disk; return the folder of the download, and the files' sums."""
    work = await asyncio.to_thread(place.work, source.fingerprint)
    there = partials.written(work)
    room = _room(order.shown, source.size - there, place)
    try:
        async with order.meter.following(source.size, there):
            sums = await source.download(work, room, order.meter.count)
    except (FetchError, OSError) as error:
        if not isinstance(error, FetchError) or error.kind is not Kind.TRANSIENT:
            await asyncio.to_thread(place.forget)
        raise
    if trees.is_empty(work / transfers.TREE):
        message = f"{order.shown}: there is no file in it"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
    return work, sums


def _room(shown: str, needed: int, place: Place) -> int:
    """Tell how many bytes may be written.

    Raises:
        FetchError: fewer than are to come.
    """
    room = place.room()
    if needed > room:
        message = (
            f"{shown}: {amount(needed)} are to come, and {place.disk} has {amount(room)} free"
        )
        raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
    return room
