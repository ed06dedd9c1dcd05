import asyncio
from pathlib import Path

import pytest

from shoal.agent.errors import ServerDownError, ServerRefusedError
from shoal.agent.loaders import Loader
from shoal.agent.plans import Record, Version
from shoal.agent.stores import Store
from support.agentfakes import FakeServer, settle

REFUSED = ServerRefusedError("no such layer")
DOUBTFUL = ServerRefusedError("no answer", in_doubt=True)


class Watched(FakeServer):
    """Notes what was on disk about the model while it was loaded."""

    def __init__(self, models: Path, store: Store) -> None:
        super().__init__(models)
        self.noted: list[Record | None] = []
        self._store = store
        self.is_down = False

    async def load(self, model: str) -> None:
        self.noted.append(self._store.record(model))
        if self.is_down:
            raise ServerDownError("nobody listens")
        await super().load(model)


class Bench:
    """A loader of model `m`, and versions for it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder / "models"), str(folder / "store"))
        self.store.open()
        self.server = Watched(folder / "models", self.store)
        self.loader = Loader("m", self.store, self.server)

    def version(self, content: str) -> Version:
        work = self.store.workplace()
        (work / "tree").mkdir()
        (work / "tree" / "file").write_text(content)
        tree, size = self.store.seal(work, {})
        self.store.adopt(work, tree, size, "")
        return Version(f"digest-{content}", tree)

    async def serve(self, content: str) -> Record:
        await self.loader.switch(self.store.record("m") or Record(), self.version(content))
        record = self.store.record("m")
        assert record is not None
        return record


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_the_note_is_unsure_while_the_server_loads_and_sure_after(bench: Bench) -> None:
    first = await bench.serve("1")
    second = await bench.serve("2")
    assert bench.server.noted == [Record(sure=False), Record(first.loaded, sure=False)]
    assert second == Record(bench.version("2"), bench.version("1"))
    assert bench.loader.loaded == "digest-2"


async def test_the_same_tree_under_a_new_digest_keeps_the_one_before(bench: Bench) -> None:
    await bench.serve("1")
    record = await bench.serve("2")
    again = Version("another", bench.version("2").tree)
    await bench.loader.switch(record, again)
    assert bench.store.record("m") == Record(again, bench.version("1"))


@pytest.mark.parametrize(
    ("error", "known"),
    [
        pytest.param(REFUSED, set(), id="refused-leaves-nothing"),
        pytest.param(DOUBTFUL, {"m"}, id="in-doubt-is-remembered-to-be-unloaded"),
    ],
)
async def test_a_first_version_that_is_refused(
    bench: Bench, error: ServerRefusedError, known: set[str]
) -> None:
    bench.server.refuse["1"] = error
    with pytest.raises(ServerRefusedError):
        await bench.serve("1")
    assert bench.store.held("m").link == ""
    assert bench.store.known() == known
    assert bench.loader.refused == bench.version("1").tree


@pytest.mark.parametrize(
    ("error", "drops_old", "loads"),
    [
        pytest.param(REFUSED, False, ["1", "2"], id="the-old-one-answers-still"),
        pytest.param(REFUSED, True, ["1", "2", "1"], id="the-server-dropped-it"),
        pytest.param(DOUBTFUL, False, ["1", "2", "1"], id="nobody-knows"),
    ],
)
async def test_after_a_refusal_the_old_version_answers(
    bench: Bench, error: ServerRefusedError, drops_old: bool, loads: list[str]
) -> None:
    first = await bench.serve("1")
    bench.server.refuse["2"] = error
    if drops_old:
        bench.server.drops.add("2")
    with pytest.raises(ServerRefusedError):
        await bench.serve("2")
    assert bench.server.loads == loads
    assert bench.server.answers == {"m": "1"}
    assert bench.store.record("m") == first
    assert bench.loader.loaded == "digest-1"


async def test_a_refusal_does_not_settle_a_doubt_from_before(bench: Bench) -> None:
    """A load of "2" hung, or its agent was killed: the server may have come to an end with it."""
    first = await bench.serve("1")
    bench.server.answers["m"] = "2"
    bench.server.refuse["3"] = REFUSED
    with pytest.raises(ServerRefusedError):
        await bench.loader.switch(Record(first.loaded, sure=False), bench.version("3"))
    assert bench.server.answers == {"m": "1"}
    assert bench.server.loads == ["1", "3", "1"]
    assert bench.store.record("m") == first


async def test_bringing_the_old_version_back_is_a_load_too(bench: Bench) -> None:
    record = await bench.serve("1")
    assert record.loaded is not None
    release = bench.server.hanging["1"] = asyncio.Event()
    restoring = asyncio.create_task(bench.loader.restore(record, record.loaded, in_doubt=True))
    await settle(lambda: bench.server.loads == ["1", "1"])
    assert bench.loader.is_busy, "a server may answer nobody meanwhile"
    release.set()
    await restoring
    assert not bench.loader.is_busy


async def test_a_server_that_is_down_leaves_the_note_unsure(bench: Bench) -> None:
    first = await bench.serve("1")
    bench.server.is_down = True
    with pytest.raises(ServerDownError):
        await bench.serve("2")
    assert bench.store.record("m") == Record(first.loaded, sure=False)
    assert not bench.loader.is_busy
    assert bench.loader.coming == ""
