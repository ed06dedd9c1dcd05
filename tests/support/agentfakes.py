"""The agent's neighbours as a test wants them: a model server, downloads; the disk is real."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.agent.boards import Board
from shoal.agent.lanes import Lanes
from shoal.agent.stores import Store
from shoal.agent.workers import Tools, Worker
from shoal.modelconfig import Model
from shoal.modelstates import ModelState
from shoal.storage.failures import FetchError

if TYPE_CHECKING:
    from shoal.agent.servers import ServerRefusedError

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


async def settle(condition: Callable[[], object]) -> None:
    """Let tasks run until a condition holds; none of them waits for time to pass."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a test looks from outside
            await asyncio.sleep(0)


class FakeLine:
    """Tells nothing before it is asked again."""

    async def wait(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    def drop(self) -> None:
        pass

    def shun(self) -> None:
        pass


class FakeServer:
    """Answers with the bytes that a model's folder had when it was loaded.

    By the content of a tree: `refuse` has the error of its load, `hanging` what it waits for;
    a load of what is in `drops` makes the server forget the version before. An unload ends when
    `unloading` is set.
    """

    def __init__(self, models: Path) -> None:
        self._models = models
        self.answers: dict[str, str] = {}
        self.loads: list[str] = []
        self.refuse: dict[str, ServerRefusedError] = {}
        self.hanging: dict[str, asyncio.Event] = {}
        self.drops: set[str] = set()
        self.unloading = asyncio.Event()
        self.unloading.set()
        self.is_up = True
        self.line = FakeLine()

    async def is_listening(self) -> bool:
        await asyncio.sleep(0)
        return self.is_up

    async def is_ready(self, model: str, _seconds: float = 0.0) -> bool:
        await asyncio.sleep(0)
        return model in self.answers

    async def load(self, model: str) -> None:
        content = (self._models / model / "file").read_text()
        self.loads.append(content)
        await asyncio.sleep(0)
        if content in self.hanging:
            await self.hanging[content].wait()
        if content in self.drops:
            self.answers.pop(model, None)
        if content in self.refuse:
            raise self.refuse[content]
        self.answers[model] = content

    async def unload(self, model: str) -> None:
        await self.unloading.wait()
        await asyncio.sleep(0)
        self.answers.pop(model, None)


class FakeFetcher:
    """Brings what a test puts at an address: a content, or an error."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.places: dict[str, str | FetchError] = {}
        self.asked: list[Model] = []
        self.hanging: set[str] = set()
        self.again: list[bool] = []
        self.has_room_again = True

    async def fetch(
        self,
        model: Model,
        on_start: Callable[[], None],
        hold: Callable[[str], object],
        *,
        again: bool = False,
    ) -> str:
        self.asked.append(model)
        self.again.append(again)
        await asyncio.sleep(0)
        if model.storage_uri in self.hanging:
            await asyncio.Event().wait()
        found = self.places[model.storage_uri]
        if isinstance(found, FetchError):
            raise found
        on_start()
        work = self._store.workplace()
        (work / "tree").mkdir()
        (work / "tree" / "file").write_text(found)
        tree, size = self._store.seal(work, {})
        hold(tree)
        self._store.adopt(work, tree, size, "")
        return tree


class Bench:
    """One worker, for model `m`, with everything around it."""

    def __init__(self, folder: Path, lanes: Lanes | None = None) -> None:
        self.store = Store(str(folder / "models"), str(folder / "store"))
        self.store.open()
        self.server = FakeServer(folder / "models")
        self.fetcher = FakeFetcher(self.store)
        self.board = Board(lambda: NOW, 30)
        server_up = asyncio.Event()
        server_up.set()
        self.tools = Tools(
            store=self.store,
            server=self.server,
            fetcher=self.fetcher,
            board=self.board,
            turns=asyncio.Semaphore(32),
            newcomers=asyncio.Semaphore(32),
            lanes=lanes or Lanes(4, 3600),
            server_up=server_up,
            draw=lambda: 0.0,
        )
        self.worker = Worker("m", self.tools, lambda _: None)

    def place(self, address: str, content: str | FetchError) -> Model:
        """Put a content at an address; return the wish for it."""
        uri = f"s3://b/{address}"
        self.fetcher.places[uri] = content
        return Model("m", uri, "sklearn", "1Mi")

    @property
    def state(self) -> ModelState:
        found = self.board.get("m")
        assert found is not None
        return found

    async def want(self, model: Model) -> None:
        """Wish for a version, and see it in."""
        self.worker.want(model)
        await settle(lambda: self.state.loaded == model.digest and self.state.state == "Loaded")

    async def until(self, state: str) -> ModelState:
        """Wait for a state of the present wish."""
        wanted = self.worker.wanted
        assert wanted is not None
        await settle(lambda: (self.state.state, self.state.wanted) == (state, wanted.digest))
        return self.state

    def secret(self, model: Model, name: str) -> Model:
        return replace(model, storage_secret=name)
