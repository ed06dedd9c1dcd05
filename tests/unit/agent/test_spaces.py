import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from shoal.agent.spaces import BusyError, Lease, Need, NoRoomError, Space

MIB = 1024 * 1024
PLENTY = 10**15


class FakeDisk:
    """A disk with `free` bytes of its own, and trees; those in `idle` are needed by no model."""

    def __init__(self, free: int, *, needed: int = 0, total: int = 0, **idle: int) -> None:
        self.bytes_free = free
        self.total = total or free + needed + sum(idle.values())
        self.needed = needed
        self.idle = dict(idle)
        self.old: list[str] = []
        self.dropped: list[str] = []
        self.looks = 0  # each reads a note of every model

    def free(self) -> tuple[int, int]:
        return self.bytes_free, self.total

    def used(self) -> int:
        return self.needed + sum(self.idle.values())

    def unneeded(self) -> list[tuple[str, int]]:
        self.looks += 1
        return list(self.idle.items())

    def stale(self) -> list[str]:
        return [name for name in self.old if name in self.idle]

    def awaited(self) -> set[str]:
        return {name for name in self.idle if name.startswith("half")}

    async def drop(self, names: Sequence[str]) -> None:
        freed = sum(self.idle.pop(name) for name in names)
        self.dropped += names
        await asyncio.sleep(0)
        self.bytes_free += freed


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def begin(work: Coroutine[Any, Any, Lease]) -> "asyncio.Future[Lease]":
    return asyncio.ensure_future(work)


async def take(space: Space, stack: AsyncExitStack, need: Need) -> Lease:
    return await stack.enter_async_context(space.lease(need))


async def test_what_fits_drops_nothing() -> None:
    disk = FakeDisk(100, a=50)
    async with Space(disk).lease(Need(100)) as lease:
        assert (lease.size, disk.dropped) == (100, [])


async def test_what_would_not_fit_drops_the_least_recently_used_and_no_more() -> None:
    disk = FakeDisk(10, oldest=20, older=20, newest=20)
    async with Space(disk).lease(Need(45)):
        assert disk.dropped == ["oldest", "older"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        pytest.param(0, "needs 1000 bytes of disk, and 70 can be had (60 of them", id="the-disk"),
        pytest.param(200, "needs 1000 bytes of disk, and 60 can be had (60 of", id="the-limit"),
    ],
)
async def test_what_never_fits_says_both_numbers_and_drops_nothing(
    limit: int, message: str
) -> None:
    disk = FakeDisk(10, needed=130, a=60)
    with pytest.raises(NoRoomError) as caught:
        async with Space(disk, limit).lease(Need(1000)):
            pass
    assert str(caught.value).startswith(message)
    assert disk.dropped == []


async def test_the_limit_counts_what_is_held_and_promised() -> None:
    disk = FakeDisk(PLENTY, needed=50)
    space = Space(disk, 200)  # of which 190 are for trees
    async with AsyncExitStack() as stack:
        await take(space, stack, Need(100))
        assert space.room() == 40
        with pytest.raises(NoRoomError):
            await take(space, stack, Need(141))


async def test_bytes_that_are_written_are_not_counted_twice() -> None:
    disk = FakeDisk(100)
    space = Space(disk)
    async with space.lease(Need(60)) as lease:
        assert space.room() == 40
        disk.bytes_free -= 60
        lease.count(60)
        assert space.room() == 40


async def test_what_may_fit_later_waits_for_others_in_turn() -> None:
    disk = FakeDisk(100)
    space = Space(disk)
    async with AsyncExitStack() as second, AsyncExitStack() as third:
        async with space.lease(Need(80)):
            waits = begin(take(space, second, Need(90)))
            behind = begin(take(space, third, Need(10)))
            await settle()
            assert not waits.done()
            assert not behind.done()  # or a stream of small ones would starve the large one
        await settle()
        assert (waits.done(), behind.done()) == (True, True)
        await asyncio.gather(waits, behind)


async def test_one_that_stops_waiting_leaves_nothing_promised() -> None:
    space = Space(FakeDisk(100))
    async with AsyncExitStack() as stack:
        await take(space, stack, Need(80))
        waits = begin(take(space, stack, Need(90)))
        await settle()
        waits.cancel()
        await settle()
        assert space.room() == 20
        await take(space, stack, Need(20))
    assert space.room() == 100


async def test_two_of_unknown_size_never_share_the_same_bytes() -> None:
    disk = FakeDisk(100 * MIB)
    space = Space(disk)
    async with AsyncExitStack() as stack:
        leases = [await take(space, stack, Need(0, grows=True)) for _ in range(4)]
        assert sum(lease.size for lease in leases) <= 100 * MIB
        assert all(lease.size >= MIB for lease in leases)


async def test_what_outgrew_its_share_is_given_the_disk_alone_and_in_the_end_all_of_it() -> None:
    disk = FakeDisk(30 * MIB, a=20 * MIB, b=50 * MIB)
    space = Space(disk)
    sizes: list[int] = []

    async def outgrow(after: int = 0) -> None:
        async with space.lease(Need(5 * MIB, grows=True, after=after)) as lease:
            sizes.append(lease.size // MIB)
        await outgrow(lease.size)

    with pytest.raises(NoRoomError) as caught:
        await outgrow()
    assert sizes == [15, 30, 100]
    assert str(caught.value) == (
        f"needs more than {100 * MIB} bytes of disk, and {100 * MIB} can be had"
        " (0 of them by dropping what no model needs)"
    )


async def test_what_outgrew_its_share_waits_until_it_is_alone() -> None:
    space = Space(FakeDisk(100 * MIB))
    async with AsyncExitStack() as stack:
        async with space.lease(Need(70 * MIB)):
            waits = begin(take(space, stack, Need(0, grows=True, after=20 * MIB)))
            await settle()
            assert not waits.done()
        assert (await waits).size == 100 * MIB


async def test_what_waits_for_long_says_for_what_and_makes_way() -> None:
    space = Space(FakeDisk(100), patience=0)
    async with AsyncExitStack() as stack:
        await take(space, stack, Need(80))
        with pytest.raises(BusyError) as caught:
            await take(space, stack, Need(90))
        assert str(caught.value) == (
            "needs 90 bytes of disk, and 20 can be had (0 of them by dropping what no model needs)"
            "; 80 more are other downloads' until they end"
        )
        await take(space, stack, Need(20))


async def test_who_waits_does_not_wait_for_others_that_wait() -> None:
    disk = FakeDisk(PLENTY, needed=100)
    space = Space(disk, 200, patience=3600)  # of which 190 are for trees
    waiting = Need(80, written=50)
    async with asyncio.timeout(5), AsyncExitStack() as stack:
        async with space.lease(Need(20)):
            first = begin(take(space, stack, waiting))
            second = begin(take(space, stack, waiting))
            await settle()
        with pytest.raises(NoRoomError):
            await first
        assert (await second).size == 80


async def test_what_outgrew_its_share_takes_room_beside_others_where_there_is_enough() -> None:
    space = Space(FakeDisk(100 * MIB))
    async with AsyncExitStack() as stack:
        await take(space, stack, Need(10 * MIB))
        lease = await take(space, stack, Need(0, grows=True, after=20 * MIB))
        assert lease.size == 40 * MIB


async def test_a_download_that_goes_on_needs_only_the_rest() -> None:
    disk = FakeDisk(40)
    async with Space(disk).lease(Need(100, written=60)) as lease:
        assert (lease.size, lease.written) == (100, 60)


async def test_a_tree_that_turned_out_larger_is_made_room_for() -> None:
    disk = FakeDisk(10, a=20)
    space = Space(disk)
    async with space.lease(Need(10)) as lease:
        lease.count(10)
        disk.bytes_free = 0
        await space.extend(lease, 25)
        assert (lease.size, disk.dropped) == (25, ["a"])
        with pytest.raises(NoRoomError):
            await space.extend(lease, 99)


@pytest.mark.parametrize(
    ("free", "limit", "dropped"),
    [
        pytest.param(50, 0, [], id="half-of-the-disk-is-free"),
        pytest.param(15, 0, ["a"], id="a-fifth-is-kept-free-for-the-node"),
        pytest.param(50, 40, ["a", "b"], id="the-limit-was-lowered"),
    ],
)
async def test_what_no_model_needs_goes_when_room_is_short(
    free: int, limit: int, dropped: list[str]
) -> None:
    disk = FakeDisk(free, total=100, needed=20, a=10, b=10, c=10)
    await Space(disk, limit).trim()
    assert disk.dropped == dropped


async def test_what_goes_is_gone_for_all_at_once_and_its_room_is_waited_for() -> None:
    disk = FakeDisk(0, total=1000, a=50, b=50)
    space = Space(disk)
    trimming = asyncio.ensure_future(space.trim())
    await asyncio.sleep(0)
    assert disk.dropped == ["a", "b"]  # b one by one later could be needed again by then
    async with space.lease(Need(60)) as lease:
        assert lease.size == 60
    await trimming


async def test_stale_half_downloads_go_anyway() -> None:
    disk = FakeDisk(90, total=100, partial=10)
    disk.old = ["partial"]
    await Space(disk).trim()
    assert disk.dropped == ["partial"]


async def test_a_half_download_waits_for_its_next_try_unless_its_room_is_wanted() -> None:
    disk = FakeDisk(5, total=100, half=10, a=2)
    space = Space(disk)
    await space.trim()
    assert disk.dropped == ["a"]
    async with space.lease(Need(12)):
        assert disk.dropped == ["a", "half"]


async def test_where_there_is_room_nobody_looks_for_what_could_go() -> None:
    disk = FakeDisk(1000, a=50)
    space = Space(disk)
    async with space.lease(Need(10)) as lease:
        await space.extend(lease, 25)
    assert lease.size == 25
    assert disk.looks == 0
