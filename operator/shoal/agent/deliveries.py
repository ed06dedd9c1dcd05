"""One model brought into one folder, tried for as long as it may help.

```
 look it up ──► here already? ──► say so
      │ no
      ▼
 download beside (gone on with after a kill) ──► move in ──► drop what was before
```

Caller: commands.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientSession

from shoal.agent import retries
from shoal.agent.accounts import Pace
from shoal.agent.destinations import Destination
from shoal.agent.meters import Meter, amount
from shoal.reasons import Reason
from shoal.storage import failures, partials, transfers, trees
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from shoal.storage.transfers import Source
from shoal.storage.uris import Location

Find = Callable[[], Awaitable[tuple[Location, Credentials]]]
"""Says where a model is and what it is asked with, as both are now."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all deliveries share; `patience` are seconds without progress.

    `digest` is what was promised of the content, `sha256:<hex>`; "" promises nothing.
    """

    session: ClientSession
    limits: Limits
    patience: float
    tell: Callable[[str], None]
    draw: Callable[[], float]
    pace: Pace = field(default_factory=Pace)
    opened: transfers.Opened = transfers.opened
    digest: str = ""


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
    shown, folder = location.shown, destination.folder
    meter.shown = shown
    async with tools.opened(
        location, known, tools.session, digest=tools.digest, limits=tools.limits
    ) as source:
        if await asyncio.to_thread(destination.holds, source.fingerprint):
            tools.tell(f"{shown}: is in {folder} already, nothing to do")
            return
        work = await asyncio.to_thread(destination.work, source.fingerprint)
        there = partials.written(work)
        room = _room(shown, source, there, destination)
        try:
            async with meter.following(source.size, there):
                await source.download(work, room, meter.count)
        except (FetchError, OSError) as error:
            if not isinstance(error, FetchError) or error.kind is not Kind.TRANSIENT:
                await asyncio.to_thread(destination.forget)
            raise
        if trees.is_empty(work / transfers.TREE):
            message = f"{shown}: there is no file in it"
            raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
        await asyncio.to_thread(destination.adopt, work, source.fingerprint)
    tools.tell(f"{shown}: is in {folder}")


def _room(shown: str, source: Source, there: int, destination: Destination) -> int:
    """Tell how many bytes may be written.

    Raises:
        FetchError: fewer than are to come.
    """
    room, needed = destination.room(), source.size - there
    if needed > room:
        message = (
            f"{shown}: {amount(needed)} are to come, and the disk of {destination.folder} has "
            f"{amount(room)} free"
        )
        raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
    return room
