"""The operator's follower and a real agent: silence is known as soon as it can be."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shoal.cluster.agents import AgentFollower

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name
KEY = ("default", "svc")


@pytest.fixture
async def following(rig: RigFixture) -> AsyncIterator[AgentFollower]:
    rig.start(rig.upload("one", 1.0))
    follower = AgentFollower(lambda _: None, port=rig.agent.port)
    follower.follow(KEY, {"uid": "127.0.0.1"})
    await _until(lambda: follower.report("uid") is not None)
    yield follower
    await follower.close()


async def _until(condition: Callable[[], bool], seconds: float = 10) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def _is_silent(follower: AgentFollower) -> bool:
    return follower.report("uid") is None and follower.is_heard("uid")


async def test_a_killed_agent_is_known_to_be_silent_at_once(
    rig: RigFixture, following: AgentFollower
) -> None:
    took = []
    for _ in range(3):
        await asyncio.sleep(1.5)
        rig.agent.process.end()
        took.append(await _until(lambda: _is_silent(following)))
        rig.agent.start()
        await _until(lambda: following.report("uid") is not None)
    assert min(took) < 2.5, "a hung one is given four seconds"


async def test_a_hung_agent_is_known_to_be_silent_after_four_seconds(
    rig: RigFixture, following: AgentFollower
) -> None:
    await asyncio.sleep(1.5)
    rig.agent.process.running.send_signal(signal.SIGSTOP)
    try:
        assert 2.5 < await _until(lambda: _is_silent(following)) < 20
    finally:
        rig.agent.process.running.send_signal(signal.SIGCONT)
    await _until(lambda: following.report("uid") is not None)


async def test_an_agent_with_nothing_to_say_is_not_silent(following: AgentFollower) -> None:
    said = following.report("uid")
    for _ in range(30):
        await asyncio.sleep(0.2)
        assert following.report("uid") is not None
    assert said is not None


class Impostor:
    """A pod with the labels of a service's, by somebody else."""

    def __init__(self) -> None:
        self.sent = 0
        self.others = 0  # requests for something else

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * (1 << 20))
            self.sent += 1

    async def trickle(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(1)

    async def elsewhere(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/other")

    async def deep(self, _: web.Request) -> web.Response:
        return web.Response(text="[" * 1_000_000)

    async def packed(self, _: web.Request) -> web.Response:
        response = web.Response(text=" " * (256 << 20))
        response.enable_compression()
        return response

    async def other(self, _: web.Request) -> web.Response:
        self.others += 1
        return web.Response()


@pytest.mark.parametrize("how", ["endless", "trickle", "elsewhere", "deep", "packed"])
async def test_who_is_no_agent_is_silent_and_costs_little(how: str) -> None:
    impostor = Impostor()
    app = web.Application()
    app.router.add_get("/v1/states", getattr(impostor, how))
    app.router.add_get("/other", impostor.other)
    async with TestServer(app) as server:
        assert server.port
        follower = AgentFollower(lambda _: None, port=server.port)
        follower.follow(KEY, {"uid": "127.0.0.1"})
        await _until(lambda: _is_silent(follower), 30)
        await follower.close()
    assert impostor.others == 0
    assert impostor.sent < 100, "MiB"
