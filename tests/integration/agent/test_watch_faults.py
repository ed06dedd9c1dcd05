"""An agent whose watch freezes, breaks or is refused: it hears of changes within a bound."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.namespaces import Namespace
from support.proxies import Fault, Proxy

SILENCE_SECONDS = 3  # instead of 75
FAULT_SECONDS = 6.0
BOUND_SECONDS = 10.0  # after the fault's end: its pauses grow to 5 s
REQUESTS = 40  # in FAULT_SECONDS: lists and watches


@pytest.fixture
async def proxy(api_server: Any) -> AsyncIterator[Proxy]:
    settings = api_server.settings
    async with Proxy.beside(settings.authority, settings.server) as made:
        yield made


@pytest.fixture
async def rig(namespace: Namespace, api_rig: Any, proxy: Proxy) -> AsyncIterator[Any]:
    """An agent behind the proxy, with its bucket's keys in its environment."""
    environ = api_rig.agent.process.environ
    environ["SHOAL_API_URL"] = proxy.url
    environ["SHOAL_SILENCE_SECONDS"] = str(SILENCE_SECONDS)
    await asyncio.to_thread(namespace.secret, api_rig.bucket.secret())
    yield api_rig
    await asyncio.to_thread(api_rig.agent.process.end)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.FREEZE,
        Fault.HALF_CLOSE,
        Fault.END,
        Fault.GONE_EVENT,
        Fault.GONE,
        Fault.FORBIDDEN,
        Fault.TOO_MANY,
    ],
    ids=lambda fault: fault.name.lower(),
)
async def test_a_change_meanwhile_is_heard_of(
    namespace: Namespace, rig: Any, proxy: Proxy, fault: Fault
) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    await asyncio.to_thread(namespace.want, one)
    await asyncio.to_thread(rig.agent.start)
    await asyncio.to_thread(rig.agent.loaded, one)

    began = time.monotonic()
    with proxy.fault(fault, verbs={"watch"}):
        await asyncio.to_thread(namespace.want, two)
        await asyncio.sleep(FAULT_SECONDS)
    requests = len(proxy.asked(began, {"watch", "list"}))

    await asyncio.to_thread(rig.agent.loaded, two, seconds=BOUND_SECONDS)
    assert rig.server.predict("one") is None
    assert requests < REQUESTS


@pytest.mark.parametrize(
    "fault",
    [Fault.FORBIDDEN, Fault.CUT],
    ids=lambda fault: fault.name.lower(),
)
async def test_models_stay_while_nothing_can_be_read(
    namespace: Namespace, rig: Any, proxy: Proxy, fault: Fault
) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    await asyncio.to_thread(namespace.want, one)
    await asyncio.to_thread(rig.agent.start)
    await asyncio.to_thread(rig.agent.loaded, one)

    began = time.monotonic()
    cut = proxy.fault(Fault.CUT, verbs={"watch"})
    with proxy.fault(fault), cut:
        await asyncio.to_thread(namespace.want, one, two)
        await asyncio.sleep(FAULT_SECONDS)
        assert rig.server.predict("one") == 1.0
        assert rig.agent.status("/readyz") == 200
    requests = len(proxy.asked(began))

    await asyncio.to_thread(rig.agent.loaded, one, two, seconds=BOUND_SECONDS)
    assert requests < REQUESTS
