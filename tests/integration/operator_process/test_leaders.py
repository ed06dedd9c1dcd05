"""One operator leads; another takes over, soon after a loss and at once after a goodbye."""

from integration.operator_process import bodies
from integration.operator_process.apis import until
from integration.operator_process.programs import Program
from integration.operator_process.worlds import World


async def health(program: Program) -> tuple[int, int, bool]:
    live, text = await program.get("/livez")
    ready, _ = await program.get("/readyz")
    return live, ready, '"leading": true' in text


async def pair(world: World) -> tuple[Program, Program]:
    leader = await world.operator()
    standby = await world.start()

    async def both_are_well() -> bool:
        return (await health(leader), await health(standby)) == (
            (200, 200, True),
            (200, 200, False),
        )

    await until(both_are_well)
    return leader, standby


async def test_a_lost_leader_is_replaced_and_nothing_is_missed(world: World) -> None:
    leader, standby = await pair(world)
    (replica,) = await world.serve("one", "two")

    await leader.kill()
    await world.api.delete("TrainedModel", "one")
    await world.api.create(bodies.model("three"))
    await until(standby.leads, seconds=40)

    replica.agent.load(bodies.wanted(bodies.model(name)) for name in ("two", "three"))
    await world.ready("TrainedModel", "three")
    assert await world.config() == ["three", "two"]


async def test_a_leader_that_is_told_to_stop_hands_over_at_once(world: World) -> None:
    leader, standby = await pair(world)

    await leader.terminate()
    await world.given_back(standby)
    await until(standby.leads)

    lease = await world.api.get("Lease", "shoal-operator")
    assert lease["spec"]["holderIdentity"] == standby.name
    await world.api.create(bodies.service())
    await until(lambda: world.api.find("Deployment", "mms-predictor"))


async def test_a_standby_that_is_told_to_stop_leaves_the_leader_alone(world: World) -> None:
    leader, standby = await pair(world)

    await standby.terminate()

    assert await health(leader) == (200, 200, True)
    lease = await world.api.get("Lease", "shoal-operator")
    assert lease["spec"]["holderIdentity"] == leader.name
