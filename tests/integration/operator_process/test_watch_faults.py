"""Watches that freeze, break or are refused: what changes meanwhile is handled, within a bound."""

import asyncio
import time

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import until
from integration.operator_process.programs import Program
from integration.operator_process.worlds import World
from shoal import modelconfig
from support.proxies import Fault, Proxy

SILENCE = {"SHOAL_SILENCE_SECONDS": "4"}  # instead of 70: bookmarks come once a minute
FAULT_SECONDS = 5.0
BOUND_SECONDS = 30.0  # after the fault's end; a start of the operator takes a third of it
LONGEST_REFUSAL_SECONDS = 80.0
REQUESTS = 350  # in those seconds: a few per kind, and less and less


class Supervised:
    """An operator that is started again when it ends, as a kubelet does."""

    def __init__(self, world: World, env: dict[str, str]) -> None:
        self._world, self._env = world, env
        self.programs: list[Program] = []

    async def look(self) -> Program:
        """Start it where it does not run; an end without an error is a fault of its own."""
        if not self.programs or self.programs[-1].process.returncode is not None:
            if self.programs:
                self._world.may_fail = True  # Kopf shows where it failed
                assert self.programs[-1].process.returncode == 1, self.programs[-1].tail()
            self.programs.append(await self._world.start(**self._env))
        return self.programs[-1]


async def change(world: World) -> None:
    """Delete, change and create models, and create a service."""
    await world.api.delete("TrainedModel", "gone")
    await world.api.patch(
        "TrainedModel", "changed", {"spec": {"model": {"storageUri": "s3://b/new"}}}
    )
    await world.api.create_all(bodies.model("new"), bodies.service("other"))


async def models(world: World) -> dict[str, str]:
    found = await world.api.get("ConfigMap", "modelconfig-mms-0")
    return {model.name: model.storage_uri for model in modelconfig.decode(found["data"])}


@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault is not Fault.DELAY], ids=lambda f: f.name.lower()
)
async def test_what_changes_meanwhile_is_handled(world: World, proxy: Proxy, fault: Fault) -> None:
    operator = Supervised(world, SILENCE)
    program = await operator.look()
    await until(program.leads, seconds=30)
    (replica,) = await world.serve("gone", "changed")
    changed = bodies.model("changed", uri="s3://b/new")

    began = time.monotonic()
    with proxy.fault(fault, verbs={"watch"}):
        await asyncio.sleep(0.5)
        await change(world)
        await asyncio.sleep(FAULT_SECONDS)
    requests = len(proxy.asked(began))

    async def handled() -> bool:
        await operator.look()
        assert await models(world) == {"changed": "s3://b/new", "new": "s3://models/m"}
        return await world.api.find("Deployment", "other-predictor") is not None

    await until(handled, seconds=BOUND_SECONDS)
    replica.agent.load([bodies.wanted(changed), bodies.wanted(bodies.model("new"))])
    for name in ("changed", "new"):
        await world.ready("TrainedModel", name)
    assert requests < REQUESTS


@pytest.mark.timeout(200)
async def test_a_kind_that_is_refused_for_long_ends_the_process_and_its_next_life_waits(
    world: World, proxy: Proxy
) -> None:
    operator = Supervised(world, {})
    program = await operator.look()
    await until(program.leads, seconds=30)
    await world.serve("gone", "changed")

    cut = proxy.fault(Fault.CUT, verbs={"watch"}, resources={"pods"})
    with proxy.fault(Fault.FORBIDDEN, verbs={"list", "watch"}, resources={"pods"}), cut:
        async with asyncio.timeout(LONGEST_REFUSAL_SECONDS):
            await program.process.wait()
        began = time.monotonic()
        await change(world)
        program = await operator.look()
        await asyncio.sleep(5)
        assert (await program.get("/readyz"))[0] == 503
        lease = await world.api.get("Lease", "shoal-operator")
        assert lease["spec"]["holderIdentity"] == "", "another may lead, if it can"
        assert len(proxy.asked(began)) < REQUESTS

    await until(program.leads, seconds=BOUND_SECONDS)

    async def handled() -> bool:
        return await models(world) == {"changed": "s3://b/new", "new": "s3://models/m"}

    await until(handled)
