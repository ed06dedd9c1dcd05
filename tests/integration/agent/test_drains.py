"""A pod that goes: its server serves on for as long as an operator has not told so."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shoal.cluster.agents import AgentFollower

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name
KEY = ("default", "svc")
PODS = {"uid": "127.0.0.1"}
HELD = 2.5  # seconds
SOON = 10.0  # where it would be 25 if it waited for its longest


@pytest.fixture
async def follower(rig: RigFixture) -> AsyncIterator[AgentFollower]:
    made = AgentFollower(lambda _: None, port=rig.agent.port)
    yield made
    await made.close()


async def _follow(follower: AgentFollower) -> None:
    """Follow the agent until the poll that waits for a change is open."""
    follower.follow(KEY, PODS)
    async with asyncio.timeout(10):
        while follower.report("uid") is None:  # noqa: ASYNC110 - another's state
            await asyncio.sleep(0.02)


def _ending(rig: RigFixture) -> asyncio.Task[float]:
    """Ask as kubelet does before it ends a container; the result is after how many seconds."""

    def ask() -> float:
        began = time.monotonic()
        assert rig.agent.status("/drain") == 200
        return time.monotonic() - began

    return asyncio.create_task(asyncio.to_thread(ask))


async def test_an_end_waits_until_nobody_follows(rig: RigFixture, follower: AgentFollower) -> None:
    model = rig.upload("one", 1.0)
    rig.start(model)
    await asyncio.to_thread(rig.agent.loaded, model)
    await _follow(follower)

    ending = _ending(rig)
    await asyncio.sleep(HELD)
    follower.follow(KEY, {})  # the pod is going
    await asyncio.sleep(HELD)
    assert not ending.done()

    follower.leave(KEY, but=())  # and that is told
    assert 2 * HELD < await ending < 2 * HELD + SOON


async def test_an_end_that_nobody_hears_of_comes_soon(rig: RigFixture) -> None:
    model = rig.upload("one", 1.0)
    rig.start(model)
    await asyncio.to_thread(rig.agent.loaded, model)
    assert await _ending(rig) < SOON


async def test_an_end_with_nothing_loaded_comes_soon(
    rig: RigFixture, follower: AgentFollower
) -> None:
    rig.start()
    await asyncio.to_thread(rig.agent.loaded)
    await _follow(follower)
    assert await _ending(rig) < SOON


async def test_an_end_does_not_wait_for_a_server_that_is_gone(
    rig: RigFixture, follower: AgentFollower
) -> None:
    model = rig.upload("one", 1.0)
    rig.start(model)
    await asyncio.to_thread(rig.agent.loaded, model)
    await _follow(follower)
    ending = _ending(rig)
    await asyncio.sleep(HELD)
    assert not ending.done()
    rig.server.process.end()
    assert await ending < HELD + SOON
