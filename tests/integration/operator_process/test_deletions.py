"""Deleted is deleted: by owner references, at once, and also what went while nobody looked."""

import asyncio

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import CHILDREN, until
from integration.operator_process.worlds import World

MANY = 50


async def nothing_left(world: World) -> bool:
    for kind in ("InferenceService", "TrainedModel", "Pod", *CHILDREN):
        left = [body["metadata"]["name"] for body in await world.api.all(kind)]
        assert set(left) <= {"kube-root-ca.crt"}, (kind, left)
    return True


@pytest.mark.weakness("C10")
@pytest.mark.weakness("M9")
async def test_a_service_goes_with_its_models_and_children(world: World) -> None:
    await world.operator()
    names = [f"model-{number}" for number in range(MANY)]
    await world.serve(*names)
    for kind in ("InferenceService", "TrainedModel", *CHILDREN):
        for body in await world.api.all(kind):
            assert "finalizers" not in body["metadata"], (kind, body["metadata"]["name"])

    await world.api.delete("InferenceService", "mms")

    await until(lambda: nothing_left(world), seconds=60)


async def test_a_namespace_goes_with_all_that_is_in_it(world: World) -> None:
    await world.operator()
    await world.serve("one", "two")

    await world.api.delete("Namespace", world.namespace)

    async def gone() -> bool:
        return await world.api.find("Namespace", world.namespace) is None

    await until(gone, seconds=30)


async def test_a_deleted_model_leaves_the_list_and_the_others_ready(world: World) -> None:
    await world.operator()
    await world.serve("one", "two")
    pods = [pod["metadata"]["name"] for pod in await world.api.all("Pod")]

    await world.api.delete("TrainedModel", "one")

    async def listed() -> bool:
        return await world.config() == ["two"]

    await until(listed)
    await world.ready("TrainedModel", "two")
    assert [pod["metadata"]["name"] for pod in await world.api.all("Pod")] == pods


async def test_the_last_model_leaves_an_empty_list_and_the_same_pod(world: World) -> None:
    await world.operator()
    await world.serve("one")
    pods = [pod["metadata"]["name"] for pod in await world.api.all("Pod")]

    await world.api.delete("TrainedModel", "one")

    async def empty() -> bool:
        data = (await world.api.get("ConfigMap", "modelconfig-mms-0"))["data"]
        assert data == {"models.json": "[]"}
        return True

    await until(empty)
    assert [pod["metadata"]["name"] for pod in await world.api.all("Pod")] == pods


async def test_what_went_while_the_operator_was_down_is_seen_at_its_start(world: World) -> None:
    program = await world.operator()
    (replica,) = await world.serve("one", "two")
    await program.kill()
    await asyncio.gather(
        world.api.delete("TrainedModel", "one"),
        world.api.delete("Deployment", "mms-predictor"),
        world.api.delete("Service", "mms"),
    )
    await world.api.create(bodies.model("three"))

    await world.operator(SHOAL_POD_NAME="operator-0")

    async def restored() -> bool:
        assert await world.config() == ["three", "two"]
        return bool(await world.api.find("Service", "mms"))

    await until(restored)
    (replica,) = await world.run_pods()
    replica.agent.load(bodies.wanted(bodies.model(name)) for name in ("two", "three"))
    await world.ready("TrainedModel", "two")
    await world.ready("TrainedModel", "three")


async def test_a_model_that_its_service_left_behind_waits_for_another(world: World) -> None:
    await world.operator()
    await world.serve("one")
    path = world.api.path("InferenceService", "mms")
    await world.api.request("DELETE", path, {"propagationPolicy": "Orphan"})

    async def gone() -> bool:
        return await world.api.find("InferenceService", "mms") is None

    await until(gone)
    await world.until_condition(
        "TrainedModel", "one", "Ready", "False", "InferenceServiceNotFound"
    )
