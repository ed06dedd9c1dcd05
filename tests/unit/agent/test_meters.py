import asyncio

import pytest

from shoal.agent import meters
from shoal.agent.meters import Meter


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 51, "2048.0 TiB"),
    ],
)
def test_amount(size: float, text: str) -> None:
    assert meters.amount(size) == text


async def test_it_tells_what_how_much_of_how_much_and_how_fast() -> None:
    told: list[str] = []
    has_told_more = asyncio.Event()

    def tell(line: str) -> None:
        told.append(line)
        if len(told) > 1:
            has_told_more.set()

    times = iter([0.0, 0.0, 1.0, 2.0])
    meter = Meter("s3://b/m", tell, lambda: next(times), every=0.01)
    async with meter.following(4096, 1024):
        meter.count(2048)
        await has_told_more.wait()
    assert told[0] == "s3://b/m: has 1.0 KiB of 4.0 KiB"
    assert told[1] == "s3://b/m: 3.0 KiB of 4.0 KiB, 200.0 KiB/s"
    assert told[-1] == "s3://b/m: 2.0 KiB came in 2.0 s, 1.0 KiB/s"


async def test_what_is_announced_without_a_size_has_no_whole() -> None:
    told: list[str] = []
    meter = Meter("http://h/m", told.append, lambda: 0.0)
    async with meter.following(0, 0):
        pass
    assert told[0] == "http://h/m: has 0 B"


def test_time_in_which_nothing_was_to_come_does_not_count() -> None:
    now = 0.0
    meter = Meter("s3://b/m", lambda _: None, lambda: now)
    now = 12.0
    meter.rest(10.0)
    assert meter.quiet() == 2.0


async def test_bytes_that_come_again_are_no_progress() -> None:
    now = 0.0
    meter = Meter("s3://b/m", lambda _: None, lambda: now)
    async with meter.following(100, 0):
        now = 5.0
        meter.count(60)
    assert meter.quiet() == 0
    now = 9.0
    async with meter.following(100, 0):
        meter.count(60)
    assert meter.quiet() == 4.0
    meter.count(1)
    assert meter.quiet() == 0
