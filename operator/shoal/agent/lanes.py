"""Who may load now: a few at once, and a load that hangs holds up nobody else. Caller: workers.

```
 load ──► a place in the lane ──► patience is over: it steps aside, its place goes to the next
                                  (a few may stand aside; while they do, it keeps its place)
 a model that stood aside and failed ──► aside from the start, or not now
 unload ──► a lane of its own
```

What stands aside has the time limit of any load. So the server has a bounded number of loads
under way, whatever it does with them, and twice as many as fit into the lane may hang at once
before others wait: for one time limit at most, since those that hung then stay aside.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_ASIDE = 2  # times as many as in the lane


class Place:
    """Where one load is."""

    def __init__(self) -> None:
        self.is_aside = False


class Lanes:
    """The places of one server."""

    def __init__(
        self,
        at_once: int,
        patience: float,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._lane = asyncio.Semaphore(at_once)
        self._aside = asyncio.Semaphore(at_once * _ASIDE)
        self._patience = patience
        self._pause = pause
        self.unloads = asyncio.Semaphore(at_once)

    @property
    def has_room_aside(self) -> bool:
        """Tell whether one more may stand aside at once."""
        return not self._aside.locked()

    @asynccontextmanager
    async def load(self, *, aside: bool = False) -> AsyncIterator[Place]:
        """Wait for a place, and have it; `aside` is for what is known to take long."""
        place = Place()
        if aside:
            async with self._aside:
                place.is_aside = True
                yield place
            return
        await self._lane.acquire()
        mover = asyncio.ensure_future(self._step_aside(place))
        try:
            yield place
        finally:
            mover.cancel()
            (self._aside if place.is_aside else self._lane).release()

    async def _step_aside(self, place: Place) -> None:
        await self._pause(self._patience)
        await self._aside.acquire()
        # Nothing is awaited from here on: whoever ends the load sees all of it or nothing.
        place.is_aside = True
        self._lane.release()
