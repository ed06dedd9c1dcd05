"""The API server is away for a minute: what was said before stays true, and is said again."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from integration.operator_process.apis import until
from integration.operator_process.test_outages import ALONE, back, stop
from integration.operator_process.worlds import World
from support.samplers import Sampler
from support.watchers import Access

AWAY_SECONDS = 60
BACK_SECONDS = 30.0
URI = "s3://models/m"


class Answers(BaseHTTPRequestHandler):
    """A model server of one replica: each model of the set `loaded` answers 1."""

    loaded: set[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        found = self.path.split("/")[3] in self.loaded
        body = json.dumps({"outputs": [{"data": [1.0]}]}).encode() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(address: str, *models: str) -> Iterator[set[str]]:
    """Answer for models at the pod's address; what is taken out of the set answers no more."""
    loaded = set(models)
    handler = type("Handler", (Answers,), {"loaded": loaded})
    server = ThreadingHTTPServer((address, 8080), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield loaded
    finally:
        server.shutdown()
        server.server_close()


@asynccontextmanager
async def sampling(sampler: Sampler) -> AsyncIterator[Sampler]:
    """Sample while the loop, which holds the agents, goes on."""
    await asyncio.to_thread(sampler.__enter__)
    try:
        yield sampler
    except BaseException as error:
        await asyncio.to_thread(sampler.__exit__, type(error), error, None)
        raise
    await asyncio.to_thread(sampler.__exit__, None, None, None)


async def restarted(world: World) -> None:
    """Start the operator again if it has ended, as the kubelet does; wait until it leads."""
    program = world.operators[-1]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BACK_SECONDS):
            await program.process.wait()
            program = await world.start(SHOAL_POD_NAME=program.name)
    await until(program.leads, seconds=BACK_SECONDS)


@pytest.mark.timeout(240)
async def test_an_api_server_that_is_away_for_a_minute_makes_nothing_untrue(
    world: World, control_plane: Any
) -> None:
    settings = control_plane.settings
    program = await world.operator()
    (replica,) = await world.serve("one", "two")
    said = {name: await world.api.get("TrainedModel", name) for name in ("one", "two")}
    with serving(replica.agent.address, "one", "two"):
        sampler = Sampler(
            Access.read(control_plane.kubeconfig), (world.namespace, "mms"), {URI: 1}
        )
        async with sampling(sampler):
            await asyncio.to_thread(stop, settings)
            await asyncio.sleep(AWAY_SECONDS)
            asked = len(sampler.answers("one"))
            await asyncio.to_thread(back, settings)
            await restarted(world)
            await asyncio.sleep(2)
            assert asked > AWAY_SECONDS, "it was asked all the while"
            assert not sampler.failures("one") + sampler.failures("two")
            seen = sampler.record.readiness("one")
            assert set(seen) == {"True", ""}, "it says nothing where it cannot be asked"
            assert (seen[0], seen[-1]) == ("True", "True")
    for name, before in said.items():
        assert (await world.api.get("TrainedModel", name))["status"] == before["status"]
    assert program.process.returncode in (None, 1), "it goes on, or ends to be started again"


@pytest.mark.timeout(240)
async def test_what_broke_while_the_api_server_was_away_is_told_when_it_is_back(
    world: World, control_plane: Any
) -> None:
    world.may_fail = True  # statuses that cannot be written fail the pass
    await world.operator(**ALONE)
    (replica,) = await world.serve("one")

    await asyncio.to_thread(stop, control_plane.settings)
    replica.agent.say({})
    await asyncio.to_thread(back, control_plane.settings)

    told = ("Ready", "False", "Pending")
    await world.until_condition("TrainedModel", "one", *told, seconds=60)
