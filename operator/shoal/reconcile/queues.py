"""The keyed queue: each key at most once at a time, bursts coalesced, failures backed off.

Events put keys in; workers take them out. A key that comes while its pass runs gets one
more pass after it. The window in which a burst is collected grows with what a pass of that
key costs, from tens of milliseconds to one second, so that a service with thousands of
models is not computed anew for each of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shoal.cluster.ports import ApiError
from shoal.cluster.store import Key
from shoal.reconcile import metrics

_log: Final = logging.getLogger(__name__)
_WINDOW_SECONDS: Final = 0.03
_LONGEST_WINDOW_SECONDS: Final = 1.0
_BACKOFF_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 1.0
_SOON_SECONDS: Final = 10.0  # what is to be looked at later than that does not wait

Pass = Callable[[Key], Awaitable[float | None]]
"""Reconciles a key; returns after how many seconds to look again, None for never."""


def window(cost: float) -> float:
    """Compute for how many seconds to collect a burst of a key whose pass takes `cost`."""
    return min(_LONGEST_WINDOW_SECONDS, max(_WINDOW_SECONDS, 2 * cost))


def backoff(failures: int, share: float) -> float:
    """Compute the wait after the n-th failure in a row; `share` in [0, 1) is the jitter."""
    longest = min(_LONGEST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0 ** min(failures, 10))
    return longest / 2 + longest / 2 * share


@dataclass(slots=True)
class _Entry:
    timer: asyncio.TimerHandle | None = None  # fires when the next pass is due
    waiting_since: float | None = None  # when the pass became due, until a worker takes it
    is_running: bool = False
    cost: float = 0.0  # seconds of the last pass
    failures: int = 0
    not_before: float = 0.0  # after a failure: whatever happens meanwhile

    def waits_until(self, soon: float) -> bool:
        """Tell whether there is something to do until `soon`, or something that failed."""
        is_later = self.timer is not None and self.timer.when() > soon and not self.failures
        return self.is_running or not is_later


class Queue:
    """Keys that wait for a pass, and the workers that make it."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._entries: dict[Key, _Entry] = {}
        self._due: asyncio.Queue[Key] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def add(self, key: Key, delay: float | None = None) -> None:
        """Wish for a pass, soon or after `delay` seconds; the earlier wish wins."""
        entry = self._entries.setdefault(key, _Entry())
        due = self._loop.time() + (window(entry.cost) if delay is None else delay)
        due = max(due, entry.not_before)
        if entry.waiting_since is not None or (entry.timer and entry.timer.when() <= due):
            return
        if entry.timer:
            entry.timer.cancel()
        entry.timer = self._loop.call_at(due, self._fire, key, entry)
        self._count()

    def oldest_seconds(self) -> float:
        """Return for how long the most overdue key has waited for a worker."""
        now = self._loop.time()
        return max((now - (e.waiting_since or now) for e in self._entries.values()), default=0.0)

    async def work(self, reconcile: Pass) -> None:
        """Make passes for ever; run as many of these as passes may run at once."""
        while True:
            key = await self._due.get()
            entry = self._entries[key]
            entry.waiting_since, entry.is_running = None, True
            began = self._loop.time()
            again = await self._attempt(key, entry, reconcile)
            entry.is_running, entry.cost = False, self._loop.time() - began
            metrics.PASS_SECONDS.observe(entry.cost)
            self._settle(key, entry, again)

    async def _attempt(self, key: Key, entry: _Entry, reconcile: Pass) -> float | None:
        try:
            again = await reconcile(key)
        except Exception as error:  # noqa: BLE001 - any failure is this key's alone: it backs off
            entry.failures += 1
            asked = error.retry_after if isinstance(error, ApiError) else 0.0
            again = max(asked, backoff(entry.failures, self._jitter()))
            # What was written before the failure comes back as an event.
            entry.not_before = self._loop.time() + max(asked, min(again, _PATIENCE_SECONDS))
            metrics.PASSES.labels("failed").inc()
            kind = type(error).__name__
            _log.warning(
                "%s/%s: pass failed: %s: %s; again in %.1f s",
                *key,
                kind,
                error,
                again,
                exc_info=entry.failures == 1 and not isinstance(error, ApiError),
            )
        else:
            entry.failures = 0
            metrics.PASSES.labels("done").inc()
        return again

    def _settle(self, key: Key, entry: _Entry, again: float | None) -> None:
        """Plan the next pass, or forget a key that is at rest."""
        if entry.timer and entry.timer.when() < entry.not_before:
            entry.timer.cancel()
            entry.timer = None
        came_due, entry.waiting_since = entry.waiting_since is not None, None
        if came_due and not entry.failures:
            self.add(key)
        if again is not None:
            self.add(key, again)
        if entry.timer is None and not entry.failures:
            self._entries.pop(key)
        self._count()

    def _count(self) -> None:
        soon = self._loop.time() + _SOON_SECONDS
        waiting = sum(entry.waits_until(soon) for entry in self._entries.values())
        metrics.QUEUED.set(waiting)

    def _fire(self, key: Key, entry: _Entry) -> None:
        entry.timer, entry.waiting_since = None, self._loop.time()
        if not entry.is_running:
            self._due.put_nowait(key)
