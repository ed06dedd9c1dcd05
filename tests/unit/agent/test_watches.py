"""Which shards are followed, and that none is taken for what one of its name said before."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shoal import modelconfig, names
from shoal.agent.watches import Watch
from shoal.modelconfig import Model

Body = dict[str, Any]


class FakeApi:
    """ConfigMaps, each with what happens to it; `held` lets no list of a name be answered."""

    def __init__(self, bodies: dict[str, Body]) -> None:
        self.bodies = bodies
        self.events: dict[str, asyncio.Queue[Body]] = {}
        self.asked = asyncio.Event()
        self.held: dict[str, asyncio.Event] = {}

    async def list_one(self, _kind: str, name: str) -> Body:
        if name in self.held:
            self.asked.set()
            await self.held[name].wait()
        self.events[name] = asyncio.Queue()
        items = [self.bodies[name]] if name in self.bodies else []
        return {"metadata": {"resourceVersion": "1"}, "items": items}

    async def watch_one(
        self, _kind: str, name: str, _version: str, _seconds: int
    ) -> AsyncIterator[Body]:
        while True:
            yield await self.events[name].get()

    def change(self, name: str, body: Body) -> None:
        self.bodies[name] = body
        self.events[name].put_nowait({"type": "MODIFIED", "object": body})

    def delete(self, name: str) -> None:
        event = {"type": "DELETED", "object": self.bodies.pop(name)}
        self.events[name].put_nowait(event)


def written(models: Iterable[str], count: int) -> Body:
    rows = [modelconfig.row(Model(name, "s3://b/m", "sklearn", "1Mi")) for name in sorted(models)]
    data = modelconfig.join(rows, count)
    told = {names.MODELS_DIGEST_ANNOTATION: modelconfig.digest(data)}
    return {"metadata": {"resourceVersion": "2", "annotations": told}, "data": data}


FIRST, SECOND = names.model_config("svc", 0), names.model_config("svc", 1)


class Seen:
    """The lists that were handed on."""

    def __init__(self) -> None:
        self._lists: asyncio.Queue[str] = asyncio.Queue()

    def take(self, models: tuple[Model, ...], _digest: str) -> None:
        self._lists.put_nowait("".join(sorted(model.name for model in models)))

    async def next(self) -> str:
        async with asyncio.timeout(5):
            return await self._lists.get()

    def is_over(self) -> bool:
        return self._lists.empty()


@asynccontextmanager
async def watching(fake: FakeApi, folder: Path) -> AsyncIterator[Seen]:
    seen, api = Seen(), fake
    task = asyncio.create_task(Watch(api, "svc", str(folder), seen.take).run())  # type: ignore[arg-type]
    yield seen
    task.cancel()
    await asyncio.wait({task})


async def test_a_list_that_shrank_and_grew_again_is_read_anew(tmp_path: Path) -> None:
    api = FakeApi({FIRST: written("a", 2), SECOND: written("b", 2)})
    async with watching(api, tmp_path) as seen:
        assert await seen.next() == "ab"
        api.change(FIRST, written("abx", 1))
        assert await seen.next() == "abx"

        api.held[SECOND] = asyncio.Event()
        api.bodies[SECOND] = written("bx", 2)
        api.change(FIRST, written("ay", 2))
        await api.asked.wait()
        assert seen.is_over(), "x would be lost with what the second one said before"
        api.held[SECOND].set()
        assert await seen.next() == "abxy"


async def test_a_shard_that_is_deleted_and_made_anew_changes_nothing(tmp_path: Path) -> None:
    api = FakeApi({FIRST: written("a", 2), SECOND: written("b", 2)})
    async with watching(api, tmp_path) as seen:
        assert await seen.next() == "ab"
        api.delete(SECOND)
        api.change(FIRST, written("ac", 2))
        api.change(SECOND, written("b", 2))
        assert await seen.next() == "abc"
        assert seen.is_over()


async def test_only_what_the_list_is_in_is_followed(tmp_path: Path) -> None:
    api = FakeApi({FIRST: written("ab", 1)})
    async with watching(api, tmp_path) as seen:
        assert await seen.next() == "ab"
        assert api.events.keys() == {FIRST}
        api.bodies[SECOND] = written("b", 2)
        api.change(FIRST, written("ac", 2))
        assert await seen.next() == "abc"
        assert api.events.keys() == {FIRST, SECOND}
