import asyncio
import threading

import pytest

from shoal.storage import threads


@pytest.mark.parametrize(
    ("size", "is_here"),
    [
        pytest.param(1, True, id="small"),
        pytest.param(threads.WORTH_BYTES, True, id="the-largest-small"),
        pytest.param(threads.WORTH_BYTES + 1, False, id="large"),
        pytest.param(0, False, id="unknown"),
    ],
)
async def test_only_what_may_take_long_gets_a_thread(size: int, is_here: bool) -> None:
    where = await threads.run(size, threading.current_thread)
    assert (where is threading.current_thread()) is is_here


async def test_long_work_that_is_cancelled_has_ended_when_that_is_told() -> None:
    stopped, began, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        stopped.wait(10)
        ended.set()
        raise ValueError("nobody waits for it")

    waiting = asyncio.create_task(threads.until(stopped, work))
    await asyncio.to_thread(began.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert stopped.is_set()
    assert ended.is_set()


async def test_long_work_that_fails_says_why() -> None:
    with pytest.raises(ZeroDivisionError):
        await threads.until(threading.Event(), lambda: 1 // 0)
