"""The bytes of one agent's disk: what may be taken, who was promised which, what goes for others.

```
 lease(need) ──► fits in what is free?            ── yes ──► promised, until the lease ends
                   │ no
                   ├─ fits with what nobody needs: that goes, least recently used first
                   ├─ may fit when other leases have ended: wait for one, for a while
                   └─ never: StoreFull, with both numbers
```

Bytes that no model needs stay for a way back until they are in somebody's way: a download that
would not fit, the limit, or where there is none the rest of the node (a disk that is nearly full
makes the kubelet evict pods). Nothing is remembered here that the disk does not tell after a
restart.

A download whose size is known is promised exactly that. One that may grow (no length announced,
an archive) begins with a share of what is free; where that was too little it is given the disk
alone, and more and more of it. Callers: fetches, processes.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

_LOG = logging.getLogger(__name__)
_CHECK_SECONDS = 10.0  # the kubelet looks at disks as often
_KEEP_FREE = 5  # a fifth: the kubelet removes images at 15 % free, pods at 10 %
_SPARE = 20  # a twentieth of the limit, for folders and notes
_SHARE = 2
_LEAST_SHARE = 1024 * 1024


class Disk(Protocol):
    """The store, as far as it is about bytes."""

    def free(self) -> tuple[int, int]:
        """Bytes that are free on the disk, and all that it has."""

    def used(self) -> int:
        """Bytes that the store holds, but for downloads under way."""

    def unneeded(self) -> list[tuple[str, int]]:
        """What no model needs and its bytes, least recently used first."""

    async def drop(self, names: Sequence[str]) -> None:
        """Remove some of these; they are gone for everybody before it waits for anything."""

    def stale(self) -> list[str]:
        """Those of these that nobody will ask for any more."""

    def awaited(self) -> set[str]:
        """Those of these that the next try of a download is about to go on with."""


class NoRoomError(Exception):
    """It does not fit; the message has both numbers."""


class BusyError(NoRoomError):
    """It may fit when other downloads have ended."""


@dataclass(eq=False, slots=True)
class Lease:
    """A promise of bytes to one download."""

    size: int
    written: int = 0

    def count(self, more: int) -> None:
        """Take note of bytes that are on the disk by now."""
        self.written = min(self.size, self.written + more)


@dataclass(frozen=True, slots=True)
class Need:
    """What a download asks for: `size` bytes, or more if it `grows`; `after` was too little."""

    size: int
    grows: bool = False
    after: int = 0
    written: int = 0  # of `size`, by a try before

    @property
    def least(self) -> int:
        """What it is not to begin without, beside what is written."""
        whole = self.size
        if self.grows:
            whole = max(_SHARE * self.size, _LEAST_SHARE, _SHARE * self.after)
        return max(0, whole - self.written)

    @property
    def refused(self) -> int:
        """What is known to be too little, beside what is written."""
        return max(0, max(self.size, self.after) - self.written)


class Space:
    """All promises; `limit` is 0 where only the disk is one."""

    def __init__(self, disk: Disk, limit: int = 0, patience: float = 30.0) -> None:
        self._disk = disk
        self._limit = limit
        self._patience = patience
        self._leases: set[Lease] = set()  # also of those that wait, for what they have written
        self._running: set[Lease] = set()
        self._queue = asyncio.Lock()
        self._ended = asyncio.Event()

    @asynccontextmanager
    async def lease(self, need: Need) -> AsyncIterator[Lease]:
        """Wait for room, in the order of asking, and have it.

        Raises:
            BusyError: it does not fit beside the downloads under way.
            NoRoomError: it does not fit.
        """
        lease = Lease(need.written, need.written)
        self._leases.add(lease)
        try:
            await self._await_grant(need, lease)
            yield lease
        finally:
            self._leases.discard(lease)
            self._running.discard(lease)
            self._ended.set()

    async def _await_grant(self, need: Need, lease: Lease) -> None:
        """Take a turn; who waits for long is told so, and makes way for smaller ones."""
        try:
            async with asyncio.timeout(self._patience), self._queue:
                lease.size += await self._granted(need)
                self._running.add(lease)
        except TimeoutError:
            others = sum(each.size for each in self._running)
            message = f"{self._no_room(need)}; {others} more are other downloads' until they end"
            raise BusyError(message) from None

    async def extend(self, lease: Lease, size: int) -> None:
        """Let a download that is done be as large as it turned out to be.

        Raises:
            NoRoomError: it does not fit.
        """
        lease.written = lease.size
        more = size - lease.size
        if more > 0:
            # To find what could go costs a look at every model: only where room is short.
            if more > self.room():
                if more > self.room() + self._droppable():
                    raise self._no_room(Need(size, written=lease.size))
                await self._make_room(more)
            lease.size = lease.written = size

    def room(self) -> int:
        """Bytes that may be promised with nothing dropped."""
        free, _ = self._disk.free()
        left = free - sum(lease.size - lease.written for lease in self._leases)
        if self._limit:
            left = min(left, self._bound - self._disk.used() - self._promised())
        return max(0, left)

    async def watch(self) -> None:
        """Drop what no model needs where the disk or the limit is short of room, for ever."""
        while True:
            try:
                await self.trim()
            except OSError:
                _LOG.exception("cannot look after the size of the store")
            await asyncio.sleep(_CHECK_SECONDS)

    async def trim(self) -> None:
        """Drop what is stale, and while room is short what no model needs, oldest use first."""
        async with self._queue:  # who asks meanwhile would not find the room that is on its way
            await self._drop(self._disk.stale())
            while (missing := self._missing()) > 0:
                # Its bytes would be fetched again at once, and take the same room.
                names = self._oldest(missing, but=self._disk.awaited())
                if not names:
                    return
                await self._drop(names)

    def _missing(self) -> int:
        if self._limit:
            return self._disk.used() - self._bound
        free, total = self._disk.free()
        return total // _KEEP_FREE - free

    @property
    def _bound(self) -> int:
        return self._limit - self._limit // _SPARE

    async def _granted(self, need: Need) -> int:
        """Find the bytes that are missing, or make them, or wait for them."""
        while True:
            room = self.room()
            others = sum(lease.size for lease in self._running)
            if room >= need.least and not need.after:
                return max(need.least, room // _SHARE) if need.grows else need.least
            had = room + self._droppable()
            if had >= need.least or (need.grows and had > need.refused and not others):
                await self._make_room(min(had, need.least))
                return self.room() if need.grows and not others else need.least
            if not others or had + others < min(need.least, need.refused + 1):
                raise self._no_room(need)
            self._ended.clear()
            await self._ended.wait()

    def _promised(self) -> int:
        return sum(lease.size for lease in self._leases)

    def _droppable(self) -> int:
        return sum(size for _, size in self._disk.unneeded())

    async def _make_room(self, size: int) -> None:
        while (missing := size - self.room()) > 0 and (names := self._oldest(missing)):
            await self._drop(names)

    def _oldest(self, missing: int, but: Collection[str] = ()) -> list[str]:
        """Choose what goes for so many bytes.

        It is to go at once: what is left for later may be needed again by then.
        """
        found = []
        for name, size in self._disk.unneeded():
            if missing <= 0:
                break
            if name not in but:
                found.append(name)
                missing -= size
        return found

    async def _drop(self, names: Sequence[str]) -> None:
        for name in names:
            _LOG.info("dropping bytes that no model needs: %s", name)
        if names:
            await self._disk.drop(names)

    def _no_room(self, need: Need) -> NoRoomError:
        droppable = self._droppable()
        had = self.room() + droppable
        more = "more than " if need.grows else ""
        missing = need.refused if need.grows else need.least
        return NoRoomError(
            f"needs {more}{missing} bytes of disk, and {had} can be had"
            f" ({droppable} of them by dropping what no model needs)"
        )
