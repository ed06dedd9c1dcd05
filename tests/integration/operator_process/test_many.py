"""Three hundred models at once: each costs one adoption and one status, and no more."""

import asyncio
import collections
import time
from collections.abc import Mapping

from integration.operator_process import bodies
from integration.operator_process.apis import condition, until
from integration.operator_process.replicas import StubAgent
from integration.operator_process.worlds import World
from shoal.modelconfig import Model

MANY = 300
MEBIBYTES = 150


async def load_what_is_listed(world: World, agent: StubAgent, models: Mapping[str, Model]) -> None:
    """Follow the list as an agent does, until all of it is loaded."""
    listed: list[str] = []
    while len(listed) < len(models):
        now = await world.config()
        if now != listed:
            listed = now
            agent.load(models[name] for name in listed)
        await asyncio.sleep(0.02)


async def test_many_models_at_once_cost_one_status_each(world: World) -> None:
    program = await world.operator(SHOAL_RELIST_SECONDS="0.4")
    (replica,) = await world.serve("first")
    mark = await world.at_rest(program)
    idle = program.memory()
    made = [bodies.model(f"model-{number:03}") for number in range(MANY)]
    everything = [bodies.wanted(body) for body in [*made, bodies.model("first")]]
    wanted = {model.name: model for model in everything}

    async def all_ready() -> bool:
        models = await world.api.all("TrainedModel")
        return all(condition(body, "Ready")["status"] == "True" for body in models)

    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load_what_is_listed(world, replica.agent, wanted))
        tasks.create_task(world.api.create_all(*made))
    await until(all_ready, seconds=60, every=0.5)
    took = time.monotonic() - began
    await world.at_rest(program)

    text = (
        f"{MANY} models ready in {took:.1f} s; {idle:.0f} MiB before, {program.memory():.0f} after"
    )
    print(text)  # noqa: T201 - shown by pytest -rP
    rows = world.audit.writes(mark)
    models = [row for row in rows if row.resource == "trainedmodels"]
    assert collections.Counter((row.subresource, row.name) for row in models) == {
        (part, name): 1 for part in ("", "status") for name in wanted.keys() - {"first"}
    }
    lists = [row for row in rows if row.resource == "configmaps"]
    assert len(lists) <= took + 2, "more than one write of the list a second"
    assert program.memory() < MEBIBYTES
