"""Each key once at a time, bursts in one pass, failures backed off."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from shoal.cluster.ports import ApiError
from shoal.cluster.store import Key
from shoal.reconcile import queues
from shoal.reconcile.queues import Queue

A, B = ("default", "a"), ("default", "b")


class Passes:
    """Counts passes, and how many of a key run at once; `body` is what a pass does."""

    def __init__(self, body: Callable[[Key, int], Awaitable[float | None]]) -> None:
        self._body = body
        self.made: list[Key] = []
        self.running: set[Key] = set()
        self.changed = asyncio.Event()

    async def __call__(self, key: Key) -> float | None:
        assert key not in self.running
        self.running.add(key)
        self.made.append(key)
        try:
            return await self._body(key, self.made.count(key))
        finally:
            self.running.discard(key)
            self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.made) < count or self.running:
                self.changed.clear()
                await self.changed.wait()


async def nothing(_key: Key, _turn: int) -> None:
    await asyncio.sleep(0)


class Running:
    """A queue with three workers, ended with the block."""

    def __init__(self, passes: Passes) -> None:
        self.queue = Queue(lambda: 0.0)
        self._passes = passes

    async def __aenter__(self) -> Queue:
        self._tasks = [asyncio.create_task(self.queue.work(self._passes)) for _ in range(3)]
        return self.queue

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_a_burst_is_one_pass() -> None:
    passes = Passes(nothing)
    async with Running(passes) as queue:
        for _ in range(100):
            queue.add(A)
        queue.add(B)
        await passes.until(2)
    assert sorted(passes.made) == [A, B]


async def test_a_wish_during_a_pass_is_one_more_pass() -> None:
    async def body(key: Key, turn: int) -> None:
        if turn == 1:
            for _ in range(10):
                queue.add(key, 0.0)
            await asyncio.sleep(0)

    passes = Passes(body)
    async with Running(passes) as queue:
        queue.add(A)
        await passes.until(2)
    assert passes.made == [A, A]


async def test_a_pass_that_asks_for_another_gets_it() -> None:
    async def body(_key: Key, turn: int) -> float | None:
        return 0.001 if turn < 3 else None

    passes = Passes(body)
    async with Running(passes) as queue:
        queue.add(A)
        await passes.until(3)


async def test_a_pass_that_asks_for_another_gets_it_before_what_was_wished_meanwhile() -> None:
    loop = asyncio.get_running_loop()
    ends: list[float] = []

    async def body(key: Key, turn: int) -> float | None:
        if turn == 1:
            queue.add(key, 0.0)
            await asyncio.sleep(0.4)  # so that a burst would be collected for 0.8 s
            ends.append(loop.time())
            return 0.001
        ends.append(loop.time())
        return None

    passes = Passes(body)
    async with Running(passes) as queue:
        queue.add(A)
        await passes.until(2)
    assert ends[1] - ends[0] < 0.6


async def test_a_failed_pass_is_tried_again_and_others_go_on() -> None:
    async def body(key: Key, turn: int) -> None:
        if key == A and turn == 1:
            raise RuntimeError("broken")

    passes = Passes(body)
    async with Running(passes) as queue:
        queue.add(A)
        queue.add(B)
        await passes.until(3)
    assert passes.made.count(A) == 2


async def test_the_earlier_wish_wins() -> None:
    passes = Passes(nothing)
    async with Running(passes) as queue:
        queue.add(A, 0.0)
        queue.add(A, 60.0)
        await passes.until(1)
        queue.add(A, 60.0)
        queue.add(A)
        await passes.until(2)


async def test_nothing_overdue_is_no_age() -> None:
    queue = Queue(lambda: 0.0)
    assert queue.oldest_seconds() == 0
    queue.add(A, 0.0)
    async with asyncio.timeout(5):
        while not queue.oldest_seconds():  # noqa: ASYNC110 - the clock is what is waited for
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        pytest.param(0.0, 0.03, id="cheap-is-quick"),
        pytest.param(0.2, 0.4, id="grows-with-the-cost"),
        pytest.param(30.0, 1.0, id="at-most-a-second"),
    ],
)
def test_the_window_follows_the_cost(cost: float, expected: float) -> None:
    assert queues.window(cost) == expected


@pytest.mark.parametrize(
    ("failures", "share", "expected"),
    [
        pytest.param(1, 0.0, 0.5, id="first-at-least-half-a-second"),
        pytest.param(1, 1.0, 1.0, id="first-at-most-a-second"),
        pytest.param(99, 0.0, 30.0, id="capped-below"),
        pytest.param(99, 1.0, 60.0, id="capped-above"),
    ],
)
def test_the_backoff_grows_and_is_capped(failures: int, share: float, expected: float) -> None:
    assert queues.backoff(failures, share) == expected


async def test_a_failed_key_keeps_to_what_it_was_asked_to_wait() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def body(key: Key, turn: int) -> None:
        times.append(loop.time())
        if turn == 1:
            queue.add(key)  # an event of its own making
            loop.call_soon(queue.add, key)  # and one that comes late
            raise ApiError(429, "TooManyRequests", "later", retry_after=0.6)

    passes = Passes(body)
    async with Running(passes) as queue:
        queue.add(A)
        await passes.until(2)
    assert times[1] - times[0] >= 0.6


async def test_what_is_to_be_looked_at_much_later_does_not_wait() -> None:
    queue = Queue(lambda: 0.0)
    queue.add(("ns", "patient"), 30)
    assert REGISTRY.get_sample_value("shoal_queue_keys") == 0
    queue.add(("ns", "soon"), 5)
    assert REGISTRY.get_sample_value("shoal_queue_keys") == 1
    queue.add(("ns", "patient"))
    assert REGISTRY.get_sample_value("shoal_queue_keys") == 2
