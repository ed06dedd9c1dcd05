import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.agent.errors import ServerRefusedError
from shoal.agent.lanes import Lanes
from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind
from support.agentfakes import Bench, settle

DOWN = FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, "the store is down")
REFUSED = FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, "wrong key")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.worker.stop()


async def test_a_new_model_is_fetched_loaded_and_let_go_of(bench: Bench) -> None:
    one = bench.place("one", "1")
    await bench.want(one)
    assert bench.server.answers == {"m": "1"}
    assert bench.state.attempt == 0
    await bench.want(bench.place("two", "2"))
    assert len(bench.store.unneeded()) == 1


async def test_the_same_bytes_under_another_wish_are_not_loaded_again(bench: Bench) -> None:
    one = bench.place("one", "1")
    for wish in (one, replace(one, refresh="now"), bench.place("copy", "1")):
        await bench.want(wish)
    assert bench.server.loads == ["1"]


async def test_a_refused_version_leaves_the_old_one_answering(bench: Bench) -> None:
    good, bad = bench.place("good", "1"), bench.place("bad", "2")
    bench.server.refuse["2"] = ServerRefusedError("no such layer")
    await bench.want(good)
    bench.worker.want(bad)
    state = await bench.until("Failed")
    assert (state.loaded, state.reason, state.message) == (
        good.digest,
        "ModelLoadFailed",
        "no such layer",
    )
    await settle(lambda: bench.store.held("m").link != "")
    assert (bench.store._models / "m" / "file").read_text() == "1"  # noqa: SLF001 - the disk
    await bench.want(good)
    assert bench.server.loads == ["1", "2"]


async def test_a_version_on_its_way_out_is_not_said_to_be_loaded(bench: Bench) -> None:
    """Changed and changed back while the server loads: it may switch at any moment."""
    one, two = bench.place("one", "1"), bench.place("two", "2")
    await bench.want(one)
    bench.server.hanging["2"] = asyncio.Event()
    bench.worker.want(two)
    await bench.until("Loading")
    bench.worker.want(one)
    assert bench.state.loaded == two.digest
    assert bench.state.message == "waiting until the server is done with the version before"
    bench.server.hanging["2"].set()
    await bench.want(one)
    assert bench.server.answers == {"m": "1"}


async def test_a_store_that_failed_is_asked_again_out_of_the_others_way(bench: Bench) -> None:
    one = bench.place("one", DOWN)
    bench.worker.want(one)
    await bench.until("Failed")
    bench.fetcher.has_room_again = False
    await settle(lambda: bench.state.attempt == 2)
    assert bench.fetcher.again == [False]
    bench.fetcher.has_room_again = True
    bench.place("one", "1")
    await bench.want(one)
    assert bench.fetcher.again == [False, True]


async def test_another_secret_is_tried_at_once_after_a_failure(bench: Bench) -> None:
    one = bench.place("one", REFUSED)
    bench.worker.want(bench.secret(one, "wrong"))
    await bench.until("Failed")
    bench.place("one", "1")
    await bench.want(bench.secret(one, "right"))
    assert [each.storage_secret for each in bench.fetcher.asked] == ["wrong", "right"]


async def test_another_secret_ends_a_download_with_the_one_before(bench: Bench) -> None:
    one = bench.place("one", "1")
    bench.fetcher.hanging.add(one.storage_uri)
    bench.worker.want(bench.secret(one, "slow"))
    await settle(lambda: bench.fetcher.asked)
    bench.fetcher.hanging.clear()
    await bench.want(bench.secret(one, "fast"))


async def test_another_secret_loads_nothing_that_is_loaded(bench: Bench) -> None:
    one = bench.place("one", "1")
    await bench.want(one)
    await bench.want(bench.secret(one, "other"))
    assert len(bench.fetcher.asked) == len(bench.server.loads) == 1


async def test_another_version_ends_a_download_that_is_not_wanted_any_more(bench: Bench) -> None:
    one = bench.place("one", "1")
    bench.fetcher.hanging.add(one.storage_uri)
    bench.worker.want(one)
    await settle(lambda: bench.fetcher.asked)
    await bench.want(bench.place("two", "2"))
    assert bench.server.loads == ["2"]


async def test_held_bytes_serve_while_the_store_is_down(bench: Bench) -> None:
    one, two = bench.place("one", "1"), bench.place("two", "2")
    await bench.want(one)
    await bench.want(two)
    bench.place("one", DOWN)
    await bench.want(one)
    assert bench.server.answers == {"m": "1"}


async def test_held_bytes_that_went_for_room_serve_nobody(bench: Bench) -> None:
    one, two = bench.place("one", "1"), bench.place("two", "2")
    await bench.want(one)
    await bench.want(two)
    (gone,) = bench.store.unneeded()
    await bench.store.drop([gone[0]])
    bench.place("one", DOWN)
    bench.worker.want(one)
    state = await bench.until("Failed")
    assert (state.reason, state.loaded) == ("StorageUnavailable", two.digest)


async def test_a_model_that_is_wanted_no_more_leaves_nothing_needed(bench: Bench) -> None:
    await bench.want(bench.place("one", "1"))
    bench.worker.want(None)
    await settle(lambda: bench.worker.is_gone)
    assert bench.server.answers == {}
    assert bench.store.known() == set()
    assert len(bench.store.unneeded()) == 1


async def test_an_agent_killed_while_it_loads_loads_again(bench: Bench, tmp_path: Path) -> None:
    one, two = bench.place("one", "1"), bench.place("two", "2")
    await bench.want(one)
    bench.server.hanging["2"] = asyncio.Event()
    bench.worker.want(two)
    await bench.until("Loading")
    await bench.worker.stop()
    after = Bench(tmp_path)
    after.server.answers = {"m": "who knows"}
    await after.want(after.place("one", "1"))
    assert after.server.answers == {"m": "1"}
    await after.worker.stop()


async def test_a_model_that_hung_is_not_offered_while_others_stand_aside(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def pause(_: float) -> None:
        await over.wait()

    lanes = Lanes(1, 10, pause)
    bench = Bench(tmp_path, lanes)
    bench.server.hanging["1"] = asyncio.Event()
    bench.server.refuse["1"] = ServerRefusedError("no answer to load", in_doubt=True)
    bench.worker.want(bench.place("one", "1"))
    await bench.until("Loading")
    over.set()
    for _ in range(20):
        await asyncio.sleep(0)
    bench.server.hanging["1"].set()
    await bench.until("Failed")
    async with lanes.load(aside=True), lanes.load(aside=True):
        await settle(lambda: bench.state.attempt == 2)
    assert bench.server.loads == ["1"]
    await bench.worker.stop()
