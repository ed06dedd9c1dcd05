"""Writes and lists that are refused or lost: no storm, no lie, and all is written afterwards."""

import asyncio
import time

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import condition, until
from integration.operator_process.worlds import World
from support.proxies import WRITES, Fault, Proxy

MODELS = [f"m{at:02}" for at in range(40)]
FAULT_SECONDS = 8.0
BOUND_SECONDS = 15.0  # after the fault's end
# Passes at 0.5 s, 1 s, 2 s, 4 s, … and of each a batch of writes, of which one is refused.
WRITES_PER_FAULT = 250


@pytest.mark.parametrize(
    "fault",
    [Fault.FORBIDDEN, Fault.TOO_MANY, Fault.BROKEN, Fault.CUT],
    ids=lambda fault: fault.name.lower(),
)
async def test_refused_writes_are_made_up_for_without_a_storm(
    world: World, proxy: Proxy, fault: Fault
) -> None:
    program = await world.operator()
    (replica,) = await world.serve("one")

    began = time.monotonic()
    with proxy.fault(fault, verbs=WRITES, resources={"trainedmodels", "configmaps"}):
        await world.api.create_all(*(bodies.model(name) for name in MODELS))
        await asyncio.sleep(FAULT_SECONDS)
        probes = [(await program.get(path))[0] for path in ("/livez", "/readyz")]
        asked = len(proxy.writes(began))
        for name in MODELS:
            ready = condition(await world.api.get("TrainedModel", name), "Ready")
            assert ready["status"] != "True"
    ended = time.monotonic()

    async def listed() -> bool:
        return await world.config() == sorted([*MODELS, "one"])

    await until(listed, seconds=BOUND_SECONDS)
    replica.agent.load(bodies.wanted(bodies.model(name)) for name in [*MODELS, "one"])
    for name in MODELS:
        await world.ready("TrainedModel", name)
    assert time.monotonic() - ended < 2 * BOUND_SECONDS
    assert probes == [200, 200], "it does its part, and a restart would not help"
    assert asked < WRITES_PER_FAULT


async def test_a_server_that_asks_for_patience_gets_it(world: World, proxy: Proxy) -> None:
    await world.operator()
    await world.serve("one")
    began = time.monotonic()
    only = {"resources": {"configmaps"}, "retry_after": 4}

    with proxy.fault(Fault.TOO_MANY, verbs={"patch"}, **only):
        await world.api.create(bodies.model("two"))
        await asyncio.sleep(3.5)
        asked = [call for call in proxy.asked(began, {"patch"}) if call.resource == "configmaps"]

    first, *more = [call.at for call in asked]
    assert [at for at in more if at - first < 3.9] == []

    async def listed() -> bool:
        return await world.config() == ["one", "two"]

    await until(listed, seconds=BOUND_SECONDS)


async def test_a_write_that_is_never_answered_is_made_again(world: World, proxy: Proxy) -> None:
    await world.operator()
    await world.serve("one")

    with proxy.fault(Fault.FREEZE, verbs={"patch"}, resources={"configmaps"}):
        await world.api.create(bodies.model("two"))
        await asyncio.sleep(1)

    async def listed() -> bool:
        return await world.config() == ["one", "two"]

    await until(listed, seconds=30 + BOUND_SECONDS)


@pytest.mark.parametrize(
    "fault",
    [Fault.FORBIDDEN, Fault.TOO_MANY, Fault.BROKEN, Fault.CUT, Fault.GONE],
    ids=lambda fault: fault.name.lower(),
)
async def test_an_operator_that_may_not_list_waits_and_does_not_lead(
    world: World, proxy: Proxy, fault: Fault
) -> None:
    await world.api.create_all(bodies.service(), bodies.model("one"))
    began = time.monotonic()

    with proxy.fault(fault, verbs={"list"}, resources={"pods"}):
        program = await world.start()
        await until(lambda: _says(program.said, "waiting: "))
        await asyncio.sleep(4)
        assert (await program.get("/livez"))[0] == 200
        assert (await program.get("/readyz"))[0] == 503
        assert await world.api.find("Lease", "shoal-operator") is None
        asked = len(proxy.asked(began))

    await until(program.leads, seconds=BOUND_SECONDS)
    await until(lambda: world.api.find("Deployment", "mms-predictor"))
    assert asked < 150


async def _says(said: object, words: str) -> bool:
    assert callable(said)
    return words in said()


@pytest.mark.parametrize(
    "fault", [Fault.FORBIDDEN, Fault.TOO_MANY, Fault.CUT], ids=lambda fault: fault.name.lower()
)
async def test_a_leader_goes_on_while_its_relists_fail(
    world: World, proxy: Proxy, fault: Fault
) -> None:
    program = await world.operator(SHOAL_RELIST_SECONDS="1")
    await world.serve("one")

    with proxy.fault(fault, verbs={"list"}):
        await asyncio.sleep(3)
        await world.api.create(bodies.model("two"))

        async def listed() -> bool:
            return await world.config() == ["one", "two"]

        await until(listed)
        assert (await program.get("/readyz"))[0] == 200

    assert program.process.returncode is None
