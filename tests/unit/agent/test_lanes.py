import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from shoal.agent.lanes import Lanes

Pause = Callable[[float], Awaitable[object]]


class Patience:
    """A pause that is over when a test says so."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    async def pause(self, _: float) -> None:
        await self._over.wait()

    async def end(self) -> None:
        self._over.set()
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def never(_: float) -> None:
    await asyncio.Event().wait()


async def hang(lanes: Lanes, stack: AsyncExitStack, count: int) -> None:
    for _ in range(count):
        await stack.enter_async_context(lanes.load())


async def gets_in(lanes: Lanes) -> bool:
    """Tell whether a load begins at once."""

    async def load() -> None:
        async with lanes.load():
            pass

    task = asyncio.ensure_future(load())
    await settle()
    done = task.done()
    task.cancel()
    return done


@pytest.mark.parametrize(
    ("under_way", "expected"),
    [pytest.param(1, True, id="room"), pytest.param(2, False, id="full")],
)
async def test_a_few_load_at_once(under_way: int, expected: bool) -> None:
    lanes = Lanes(2, 10, never)
    async with AsyncExitStack() as stack:
        await hang(lanes, stack, under_way)
        assert await gets_in(lanes) is expected
    assert await gets_in(lanes)


async def test_loads_that_take_long_make_way() -> None:
    patience = Patience()
    lanes = Lanes(2, 10, patience.pause)
    async with AsyncExitStack() as stack:
        await hang(lanes, stack, 2)
        assert not await gets_in(lanes)
        await patience.end()
        assert await gets_in(lanes)


async def test_as_many_as_may_stand_aside_and_no_more() -> None:
    patience = Patience()
    lanes = Lanes(2, 10, patience.pause)
    await patience.end()
    async with AsyncExitStack() as stack:
        for _ in range(6):
            await hang(lanes, stack, 1)
            await settle()
        assert not lanes.has_room_aside
        assert not await gets_in(lanes)
    assert lanes.has_room_aside
    assert await gets_in(lanes)


async def test_what_is_known_to_hang_takes_no_place_of_the_others() -> None:
    lanes = Lanes(1, 10, never)
    async with lanes.load(aside=True) as place:
        assert place.is_aside
        assert await gets_in(lanes)


async def test_a_place_is_given_back_once_wherever_the_load_ended() -> None:
    patience = Patience()
    lanes = Lanes(1, 10, patience.pause)
    async with lanes.load() as place:
        await patience.end()
        assert place.is_aside
    async with AsyncExitStack() as stack:
        await hang(lanes, stack, 3)  # one in the lane, two aside: not one more than before
        assert not await gets_in(lanes)


async def test_unloads_do_not_wait_for_loads() -> None:
    lanes = Lanes(1, 10, never)
    async with lanes.load():
        assert not lanes.unloads.locked()
