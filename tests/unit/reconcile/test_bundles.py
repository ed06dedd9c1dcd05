"""Which CA bundle is in force."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body
from shoal.reconcile.bundles import Bundle
from shoal.reconcile.events import Recorder
from support import builders
from support.fakes import FakeCluster

PEM = "-----BEGIN CERTIFICATE-----\none\n-----END CERTIFICATE-----\n"
NEWER = PEM.replace("one", "two")


def config_map(text: str, name: str = "ca") -> Body:
    return {"metadata": builders.metadata(name), "data": {"cabundle.crt": text}}


class Held:
    """A bundle, and a watch that yields what a test puts in."""

    def __init__(self, name: str = "ca") -> None:
        self.cluster = FakeCluster()
        self.changed = asyncio.Event()
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.bodies: asyncio.Queue[Body | Exception | None] = asyncio.Queue()
        recorder = Recorder(self.cluster, lambda: builders.NOW)
        self.bundle = Bundle("shoal-system", recorder, self.changed.set)
        self.bundle.look_for(name)

    async def watch(
        self, kind: Kind, namespace: str, name: str
    ) -> AsyncGenerator[Body | None, None]:
        assert (kind.kind, namespace) == ("ConfigMap", "shoal-system")
        self.asked.put_nowait(name)
        while True:
            body = await self.bodies.get()
            if isinstance(body, Exception):
                raise body
            yield body

    async def until(self, text: str) -> None:
        async with asyncio.timeout(5):
            while self.bundle.text != text:
                await self.changed.wait()
                self.changed.clear()


async def test_a_new_one_is_in_force_and_told_once() -> None:
    held = Held()
    await held.bundle.offer(config_map(PEM))
    assert (held.bundle.text, held.changed.is_set()) == (PEM, True)
    held.changed.clear()
    await held.bundle.offer(config_map(PEM))
    assert not held.changed.is_set()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param(None, "does not exist", id="gone"),
        pytest.param(config_map("x"), "has no cabundle.crt with a certificate", id="nonsense"),
        pytest.param({"metadata": builders.metadata("ca")}, "has no cabundle.crt", id="empty"),
    ],
)
async def test_one_that_is_none_leaves_the_last_good_and_is_told_once(
    body: Body | None, what: str
) -> None:
    held = Held()
    await held.bundle.offer(config_map(PEM))
    held.changed.clear()
    for _ in range(2):
        await held.bundle.offer(body)
    assert (held.bundle.text, held.changed.is_set()) == (PEM, False)
    assert held.cluster.events() == ["ConfigInvalid"]
    (event,) = held.cluster.objects.values()
    assert what in event["message"]
    assert event["involvedObject"]["name"] == "ca"


async def test_it_is_followed_under_whichever_name_it_has() -> None:
    held = Held("")
    task = asyncio.create_task(held.bundle.follow(held))
    for name, text in (("ca", PEM), ("other", NEWER)):
        held.bundle.look_for(name)
        assert await held.asked.get() == name
        held.bodies.put_nowait(config_map(text, name))
        await held.until(text)
    held.bundle.look_for("")
    assert held.bundle.text == ""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_nobody_expects_ends_it() -> None:
    held = Held()
    held.bodies.put_nowait(KeyError("a bug"))
    with pytest.raises(KeyError):
        await held.bundle.follow(held)


async def test_an_api_server_that_fails_ends_nothing() -> None:
    held = Held()
    failure: Any = ApiError(403, "Forbidden", "no")
    held.bodies.put_nowait(failure)
    task = asyncio.create_task(held.bundle.follow(held))
    await held.asked.get()
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
