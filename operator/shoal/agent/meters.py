"""How far a download is, in lines for a person: what, how much of how much, how fast.

Caller: deliveries.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_EVERY_SECONDS = 5.0
_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Meter:
    """Counts the bytes of one model, over all tries."""

    def __init__(
        self,
        shown: str,
        tell: Callable[[str], None],
        now: Callable[[], float],
        every: float = _EVERY_SECONDS,
    ) -> None:
        self.shown = shown
        self._tell = tell
        self._now = now
        self._every = every
        self._here = 0  # bytes that are on the disk
        self._most = 0
        self._last = now()

    def count(self, more: int) -> None:
        """Take note of bytes that came."""
        self._here += more
        if self._here > self._most:
            self._most, self._last = self._here, self._now()

    def rest(self, seconds: float) -> None:
        """Take note that nothing was to come in the last seconds."""
        self._last += seconds

    def quiet(self) -> float:
        """Tell for how many seconds there is no progress; bytes that come again are none."""
        return self._now() - self._last

    @asynccontextmanager
    async def following(self, size: int, there: int) -> AsyncIterator[None]:
        """Tell how far it is every few seconds; `there` are bytes of an earlier try."""
        self._here, self._most = there, max(there, self._most)
        whole = f" of {amount(size)}" if size else ""
        begun = self._now()
        self._say(f"has {amount(there)}{whole}")
        task = asyncio.create_task(self._follow(whole, there))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        seconds = max(self._now() - begun, 0.001)
        came = self._here - there
        self._say(f"{amount(came)} came in {seconds:.1f} s, {amount(came / seconds)}/s")

    async def _follow(self, whole: str, before: int) -> None:
        while True:
            await asyncio.sleep(self._every)
            speed, before = (self._here - before) / self._every, self._here
            self._say(f"{amount(self._here)}{whole}, {amount(speed)}/s")

    def _say(self, what: str) -> None:
        self._tell(f"{self.shown}: {what}")


def amount(size: float) -> str:
    """Write bytes as a person reads them."""
    unit = 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size, unit = size / _STEP, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} {_UNITS[0]}"
