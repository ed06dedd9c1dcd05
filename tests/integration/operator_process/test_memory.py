"""Models are admitted, oldest first, while their memory fits into the server's limit."""

import asyncio

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import condition, until
from integration.operator_process.worlds import World

GIBI = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.weakness("M13")
async def test_the_older_model_is_admitted_and_the_other_when_it_goes(world: World) -> None:
    await world.operator()
    service = bodies.service(container={"resources": {"limits": GIBI, "requests": GIBI}})
    await world.api.create(service)
    models = {name: bodies.model(name, memory="600Mi") for name in ("older", "newer")}
    await world.api.create(models["older"])
    await asyncio.sleep(1.1)  # ages are whole seconds; of the same second the name decides
    await world.api.create(models["newer"])
    (replica,) = await world.run_pods()
    replica.agent.load([bodies.wanted(models["older"])])
    await world.ready("TrainedModel", "older")
    refused = await world.until_condition(
        "TrainedModel",
        "newer",
        "MemoryResourceAvailable",
        "False",
        "MemoryResourceNotAvailable",
    )
    message = condition(refused, "MemoryResourceAvailable")["message"]
    assert "wants 600Mi" in message
    assert "limit of 1Gi" in message
    assert "take 600Mi" in message
    assert condition(refused, "Ready")["status"] == "False"
    assert await world.config() == ["older"]

    await world.api.delete("TrainedModel", "older")

    async def admitted() -> bool:
        return await world.config() == ["newer"]

    await until(admitted)
    replica.agent.load([bodies.wanted(models["newer"])])
    await world.ready("TrainedModel", "newer")


@pytest.mark.weakness("M11")
async def test_a_raised_limit_admits_what_was_refused(world: World) -> None:
    await world.operator()
    service = bodies.service(container={"resources": {"limits": GIBI, "requests": GIBI}})
    await world.api.create_all(
        service, *(bodies.model(name, memory="600Mi") for name in ("one", "two"))
    )

    async def one_is_in() -> bool:
        return len(await world.config()) == 1

    await until(one_is_in)
    more = {"cpu": "1", "memory": "2Gi"}
    boxes = [bodies.server(resources={"limits": more, "requests": more})]
    await world.api.patch(
        "InferenceService", "mms", {"spec": {"predictor": {"containers": boxes}}}
    )

    async def both_are_in() -> bool:
        return await world.config() == ["one", "two"]

    await until(both_are_in)
