"""Work on files, in a thread where it is worth one. Callers: downloads, transfers, fetches.

All threads share one interpreter, and waking one takes longer than writing a small file: with
a thread for each step, an agent spends more time in the kernel than on its models.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

WORTH_BYTES = 64 * 1024
# Writes a piece of a file, so many bytes, from there on: `run` or `here`.
Run = Callable[[int, Callable[[int, bytes], None], int, bytes], Awaitable[None]]


async def run(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work on `size` bytes; 0 when it is not known how many."""
    if 0 < size <= WORTH_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


async def until(stopped: threading.Event, work: Callable[[], T]) -> T:
    """Do long work that ends soon after `stopped` is set; when cancelled, see it end.

    Else the next one would find it still writing where it begins.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait({working})
        working.exception()  # of work that is wanted no more
        raise


async def here(_size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work in the event loop: nobody there waits for anything else."""
    return work(*args, **kwargs)
