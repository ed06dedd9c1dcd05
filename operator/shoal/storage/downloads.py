"""Bytes from a store to the disk: in parts, side by side, broken off when none come.

All downloads of a process share `_LANES` requests, and a lane holds a few pieces of `CHUNK`
bytes: that bounds what the process holds, however many models and however large.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from shoal.storage.partials import File
from shoal.storage.threads import Run

CHUNK = 1024 * 1024
_LEAST_CHUNK = 64 * 1024
_PART = 16 * 1024 * 1024
_FIRST_PART = 1024 * 1024
_FAST = 1024 * 1024  # bytes per second, of one request
_LANES = 16
_LANES_OF_ONE = 8  # more cost CPU and bring one object no sooner

Count = Callable[[int], None]
Read = Callable[[str, int, int], AsyncGenerator[bytes, None]]  # key, start, end


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object, and the file that it is to be."""

    key: str
    file: File


async def run(wanted: Sequence[Wanted], read: Read, shown: str, count: Count, work: Run) -> None:
    """Bring what is missing of each file; the first failure ends all. `work` writes files.

    Raises:
        FetchError: a part brought other than it announced, or `read` failed.
    """
    pace = _Pace()
    pieces = _pieces(wanted, pace)

    async def lane() -> None:
        for each, span in pieces:
            async with _lanes():
                begun = pace.now()
                if not await _piece(each, span, read(each.key, *span), count, work):
                    raise _odd(shown, each, span)
                pace.learn(span[1] - span[0], begun)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_LANES, max(_LANES_OF_ONE, len(wanted)))):
                group.create_task(lane())
    except BaseExceptionGroup as failures:  # callers await a FetchError, not a group
        raise failures.exceptions[0] from None


def chunk(span: tuple[int, int]) -> int:
    """Tell in what pieces a part is read: small ones where a part is small, as on a slow link."""
    return max(_LEAST_CHUNK, min(CHUNK, (span[1] - span[0]) // 16))


class _Pace:
    """How large parts are: small until the link is known to be fast.

    On a slow link, large pieces on many requests would look like no progress at all.
    """

    def __init__(self) -> None:
        self.part = _FIRST_PART
        self.now = asyncio.get_running_loop().time

    def learn(self, size: int, begun: float) -> None:
        """Take note of how long a part took."""
        if size >= _FIRST_PART:
            is_fast = size > _FAST * (self.now() - begun)
            self.part = _PART if is_fast else _FIRST_PART


def _pieces(wanted: Sequence[Wanted], pace: _Pace) -> Iterator[tuple[Wanted, tuple[int, int]]]:
    for each in wanted:
        if not each.file.size:
            each.file.write(0, b"")
        for span in each.file.missing(lambda: pace.part):
            yield each, span


async def _piece(
    each: Wanted,
    span: tuple[int, int],
    read: AsyncGenerator[bytes, None],
    count: Count,
    work: Run,
) -> bool:
    """Write one part; tell whether it was as long as it is to be."""
    at, end = span
    async with aclosing(read) as body:
        async for piece in body:
            size = len(piece)
            if at + size > end:
                break
            await work(size, each.file.write, at, piece)
            at += size
            count(size)
    return at == end


def _odd(shown: str, each: Wanted, span: tuple[int, int]) -> FetchError:
    announced = span[1] - span[0]
    message = f"{shown}: {each.key} brought other than the {announced} bytes announced"
    return FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)


_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
    weakref.WeakKeyDictionary()
)


def _lanes() -> asyncio.Semaphore:
    return _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_LANES))


@asynccontextmanager
async def watched(limits: Limits, shown: str, size: int, count: Count) -> AsyncIterator[Count]:
    """Break a download off that stands still, or takes too long; yields the count to tell.

    Raises:
        FetchError: no byte for `stall_seconds`, or not done after `seconds`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.seconds
    done = 0

    def seen(more: int) -> None:
        nonlocal done
        done += more
        count(more)
        if not timer.expired():
            timer.reschedule(min(loop.time() + limits.stall_seconds, deadline))

    timer = asyncio.timeout(min(limits.stall_seconds, limits.seconds))
    try:
        async with timer:
            yield seen
    except TimeoutError as error:
        if not timer.expired():
            raise
        so_far = f"{done} of {size} bytes came" if size else f"{done} bytes came"
        if loop.time() >= deadline:
            message = f"{shown}: not done after {limits.seconds:g} s; {so_far} in this try"
        else:
            message = f"{shown}: no byte for {limits.stall_seconds:g} s; {so_far} in this try"
        raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message) from error
