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
