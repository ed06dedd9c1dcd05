"""Two operators under load: one writes at a time, whatever happens to the other."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import until
from integration.operator_process.conftest import MakeProxy
from integration.operator_process.programs import Program
from integration.operator_process.replicas import Replica
from integration.operator_process.worlds import World
from support.proxies import Fault, Proxy

MODELS = [f"m{at:03}" for at in range(300)]
LOST_SECONDS = 40.0  # the Lease's 15, the standby's 2, and its start under load
LOADED_SECONDS = 40.0


@dataclass
class Pair:
    """A leader and a standby, each behind a proxy of its own, and a burst on its way."""

    world: World
    leader: Program
    standby: Program
    first: Proxy
    second: Proxy
    replica: Replica
    burst: asyncio.Task[None]

    async def taken_over(self, seconds: float) -> None:
        """Wait until the standby leads, and everything is loaded that was asked for."""
        await until(self.standby.leads, seconds=seconds)
        await self.burst

        async def listed() -> bool:
            return await self.world.config() == [*MODELS, "one"]

        await until(listed, seconds=LOADED_SECONDS)
        wanted = [bodies.wanted(bodies.model(name)) for name in [*MODELS, "one"]]
        self.replica.agent.load(wanted)
        await until(self._loaded, seconds=LOADED_SECONDS, every=0.5)

    async def _loaded(self) -> bool:
        service = await self.world.api.get("InferenceService", "mms")
        return bool(service["status"]["models"]["loaded"] == len(MODELS) + 1)

    def last_write(self) -> float:
        """Return when the first leader wrote last."""
        return max((call.at for call in self.first.writes(0)), default=0.0)

    def first_write(self) -> float:
        """Return when the second leader wrote first."""
        return min((call.at for call in self.second.writes(0)), default=float("inf"))


@pytest.fixture
async def pair(world: World, make_proxy: MakeProxy) -> Pair:
    """Make them, and begin the burst."""
    (first, towards), (second, beside) = await make_proxy(), await make_proxy()
    leader = await world.operator(**towards)
    (replica,) = await world.serve("one")
    standby = await world.start(**beside)
    await until(lambda: _is_ready(standby))
    burst = asyncio.create_task(
        world.api.create_all(*(bodies.model(name) for name in MODELS)), name="burst"
    )
    await until(lambda: _has(world, MODELS[20]))
    return Pair(world, leader, standby, first, second, replica, burst)


async def _is_ready(program: Program) -> bool:
    return (await program.get("/readyz"))[0] == 200


async def _has(world: World, name: str) -> bool:
    return await world.api.find("TrainedModel", name) is not None


async def _killed(pair: Pair) -> None:
    await pair.leader.kill()


async def _told(pair: Pair) -> None:
    await pair.leader.terminate()
    await pair.world.given_back(pair.standby)


@pytest.mark.parametrize(
    "end", [pytest.param(_killed, id="killed"), pytest.param(_told, id="told-to-stop")]
)
async def test_another_takes_over_under_load(
    pair: Pair, end: Callable[[Pair], Awaitable[None]]
) -> None:
    await end(pair)

    await pair.taken_over(LOST_SECONDS)

    assert pair.last_write() < pair.first_write()


@pytest.mark.parametrize(
    "fault", [Fault.FREEZE, Fault.FORBIDDEN, Fault.BROKEN], ids=lambda fault: fault.name.lower()
)
async def test_a_leader_that_cannot_renew_writes_no_more_before_another_does(
    pair: Pair, fault: Fault
) -> None:
    began = time.monotonic()
    with pair.first.fault(fault, verbs={"update"}, resources={"leases"}):
        # Something to write at any time.
        with pair.first.fault(Fault.BROKEN, verbs={"patch"}, resources={"trainedmodels"}):
            async with asyncio.timeout(40):
                assert await pair.leader.process.wait() == 1
        await pair.taken_over(LOST_SECONDS)

    assert pair.last_write() < pair.first_write()
    assert pair.last_write() - began < 15, "the Lease's seconds"


async def test_a_leader_that_slept_writes_nothing_from_before(pair: Pair) -> None:
    pair.leader.process.send_signal(signal.SIGSTOP)
    await pair.taken_over(LOST_SECONDS)
    awake = time.monotonic()
    pair.leader.process.send_signal(signal.SIGCONT)

    async with asyncio.timeout(30):
        assert await pair.leader.process.wait() == 1

    assert pair.first.writes(awake) == []
    assert pair.last_write() < pair.first_write()


async def test_a_leader_that_slept_goes_on_where_nobody_took_over(
    world: World, proxy: Proxy
) -> None:
    program = await world.operator()
    await world.serve("one")
    program.process.send_signal(signal.SIGSTOP)
    await world.api.create(bodies.model("two"))
    await asyncio.sleep(12)
    awake = time.monotonic()
    program.process.send_signal(signal.SIGCONT)

    async def listed() -> bool:
        return await world.config() == ["one", "two"]

    await until(listed)
    renewed = next(call.at for call in proxy.asked(awake) if call.resource == "leases")
    assert all(call.at > renewed for call in proxy.writes(awake))
    assert program.process.returncode is None
