"""A worker that waits for something, and what else happens meanwhile."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.agent.errors import ServerRefusedError
from shoal.agent.syncs import Syncs, sample_size
from shoal.agent.workers import Worker
from shoal.modelconfig import Model
from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind
from support.agentfakes import Bench, settle


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.worker.stop()


async def hang(bench: Bench, model: Model) -> None:
    """Want a version whose download hangs."""
    bench.fetcher.hanging.add(model.storage_uri)
    bench.worker.want(model)
    await settle(lambda: model in bench.fetcher.asked)


def forget(bench: Bench) -> None:
    """Let the server start anew, and the agent see that."""
    bench.server.answers.clear()
    bench.worker.lose("the model server does not answer")
    bench.worker.poke()


async def test_the_old_version_comes_back_while_the_new_one_is_downloaded(bench: Bench) -> None:
    one = bench.place("one", "1")
    await bench.want(one)
    await hang(bench, bench.place("two", "2"))
    for _ in range(2):
        forget(bench)
        assert bench.state.loaded == ""
        await settle(lambda: bench.state.loaded == one.digest)
        assert bench.server.answers == {"m": "1"}


async def test_an_agent_that_finds_the_new_version_wanted_serves_the_old_one_meanwhile(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.want(bench.place("one", "1"))
    after = Bench(tmp_path)
    one = after.place("one", "1")
    await hang(after, after.place("two", "2"))
    await settle(lambda: after.state.loaded == one.digest)
    assert after.server.answers == {"m": "1"}
    await after.worker.stop()


async def test_an_old_version_that_never_went_can_be_lost_again(bench: Bench) -> None:
    """A server that hung for moments has it still; the second time it is gone."""
    one = bench.place("one", "1")
    await bench.want(one)
    await hang(bench, bench.place("two", "2"))
    bench.worker.lose("the model server does not answer")
    bench.worker.poke()
    await settle(lambda: bench.state.loaded == one.digest)
    assert bench.server.loads == ["1"]
    bench.worker.lose("the model server does not answer")
    assert bench.state.loaded == ""


async def test_downloads_that_hang_hold_up_no_model_that_is_there(bench: Bench) -> None:
    tools = replace(bench.tools, turns=asyncio.Semaphore(1))
    other, served = Worker("other", tools, lambda _: None), Worker("m", tools, lambda _: None)
    slow = replace(bench.place("slow", "9"), name="other")
    bench.fetcher.hanging.add(slow.storage_uri)
    other.want(slow)
    await settle(lambda: slow in bench.fetcher.asked)
    one = bench.place("one", "1")
    served.want(one)
    await settle(lambda: bench.server.answers == {"m": "1"})
    served.want(None)
    await settle(lambda: bench.server.answers == {})
    for worker in (other, served):
        await worker.stop()


async def test_a_model_that_is_being_unloaded_is_loaded_for_nobody(bench: Bench) -> None:
    one = bench.place("one", "1")
    await bench.want(one)
    bench.server.unloading.clear()
    bench.worker.want(None)
    await settle(lambda: bench.state.state == "Unloading")
    assert bench.state.loaded == ""
    bench.worker.want(one)  # deleted and made anew
    assert (bench.state.wanted, bench.state.loaded) == (one.digest, "")
    bench.server.unloading.set()
    await settle(lambda: bench.server.answers == {})
    assert bench.board.get("m") is not None, "it is wanted"
    await bench.want(one)
    assert bench.server.answers == {"m": "1"}


async def test_a_refusal_of_what_is_not_wanted_any_more_is_no_failure(bench: Bench) -> None:
    release = bench.server.hanging["1"] = asyncio.Event()
    bench.server.refuse["1"] = ServerRefusedError("no such layer")
    bench.worker.want(bench.place("one", "1"))
    await bench.until("Loading")
    two = bench.place("two", "2")
    bench.worker.want(two)
    cursor = bench.board.cursor
    said = []
    release.set()
    while bench.state.loaded != two.digest:
        await bench.board.wait(cursor, 5)
        cursor = bench.board.cursor
        said.append(bench.state.state)
    assert "Failed" not in said


async def test_a_failure_that_is_shared_does_not_grow(bench: Bench) -> None:
    down = FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, "the store is down")
    tools = replace(bench.tools, draw=lambda: -1.0)
    bench.fetcher.has_room_again = False
    worker = Worker("m", tools, lambda _: None)
    worker.want(bench.place("one", down))
    for attempt in range(1, 6):
        await settle(lambda attempt=attempt: bench.state.attempt >= attempt)
    assert bench.fetcher.again == [False]
    assert len(list(traceback.walk_tb(down.__traceback__))) < 8
    await worker.stop()


@pytest.mark.parametrize(
    ("loaded", "seconds", "size"),
    [
        pytest.param(0, 1, 8, id="none"),
        pytest.param(480, 1, 8, id="as many as a minute has looks at eight"),
        pytest.param(481, 1, 9, id="one more"),
        pytest.param(1000, 1, 17, id="a thousand"),
        pytest.param(1000, 0.1, 8, id="often"),
        pytest.param(10_000, 1, 32, id="more than is bearable"),
    ],
)
def test_every_model_is_asked_for_within_a_minute(loaded: int, seconds: float, size: int) -> None:
    assert sample_size(loaded, seconds) == size


async def test_a_server_that_does_not_answer_has_no_version_before_either(bench: Bench) -> None:
    syncs = Syncs(bench.tools, 1)
    one, two = bench.place("one", "1"), bench.place("two", "2")
    syncs.apply((one,), "first")
    watching = asyncio.create_task(syncs.watch_server())
    await settle(lambda: bench.state.loaded == one.digest)
    bench.server.hanging["2"] = asyncio.Event()
    syncs.apply((two,), "second")
    await settle(lambda: (bench.state.state, bench.state.wanted) == ("Loading", two.digest))
    assert bench.state.loaded == one.digest
    bench.server.is_up = False
    await settle(lambda: bench.state.loaded == "")
    watching.cancel()
    await syncs.stop()
