"""A runtime that changes under many services, with the real controller of Deployments."""

import asyncio
import json

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import condition, until
from integration.operator_process.worlds import World

CONFIG = "inferenceservice-config"
NEVER = {"SHOAL_RELIST_SECONDS": "3600"}  # what is heard is heard by the watch
RELIST = {"SHOAL_RELIST_SECONDS": "0.4"}
SAME_POD = {"SHOAL_POD_NAME": "operator-0"}  # its container restarts: the lease is still its own
DISABLED = {"serving.kserve.io/disable-auto-update": "true"}
SERVICES = [f"s{number}" for number in range(5)]
LIMIT = 2
NEWER = [{"name": "kserve-container", "image": "localhost/two:dev"}]


async def serve(world: World, name: str, **meta: object) -> None:
    service = bodies.framework(name)
    service["metadata"] |= meta
    await world.api.create(service)
    await world.run_pods(name)
    await world.ready("InferenceService", name)


async def is_whole(world: World, name: str) -> bool:
    body = await world.api.get("Deployment", f"{name}-predictor")
    rows = {row["type"]: row for row in body["status"].get("conditions", [])}
    return rows.get("Progressing", {}).get("reason") == "NewReplicaSetAvailable"


async def updated(world: World) -> list[str]:
    return sorted(
        body["metadata"]["name"].removesuffix("-predictor")
        for body in await world.api.all("Deployment")
        if body["spec"]["template"]["spec"]["containers"][0]["image"] == "localhost/two:dev"
    )


async def waiting(world: World) -> list[str]:
    return [
        body["metadata"]["name"]
        for body in await world.api.all("InferenceService")
        if condition(body, "PodsCurrent").get("reason") == "RolloutPending"
    ]


async def test_so_many_services_follow_a_changed_runtime_at_a_time(world: World) -> None:
    deploy = {"deploy": json.dumps({"maxConcurrentRollouts": LIMIT})}
    await world.api.create(bodies.config_map(CONFIG, deploy))
    await world.operator(**NEVER)
    await world.api.create(bodies.runtime("mine"))
    for name in SERVICES:
        await serve(world, name)
    for name in SERVICES:
        await until(lambda name=name: is_whole(world, name))

    await world.api.patch("ServingRuntime", "mine", {"spec": {"containers": NEWER}})

    done: set[str] = set()
    while len(done) < len(SERVICES):
        rest = len(SERVICES) - len(done)

        async def as_many_as_may(rest: int = rest) -> bool:
            assert len(await updated(world)) == len(done) + min(LIMIT, rest)
            return len(await waiting(world)) == max(0, rest - LIMIT)

        await until(as_many_as_may)
        await asyncio.sleep(0.5)
        assert await as_many_as_may()
        for name in set(await updated(world)) - done:
            await world.run_pods(name)
            await until(lambda name=name: is_whole(world, name))
            done.add(name)

    for name in SERVICES:
        await world.ready("InferenceService", name)


async def test_another_release_of_the_operator_costs_no_write(world: World) -> None:
    program = await world.operator(**RELIST)
    await world.serve("one")
    mark = await world.at_rest(program)
    await program.kill()

    newer = await world.operator(**RELIST, **SAME_POD, SHOAL_IMAGE="localhost/shoal:next")
    await world.relisted(newer, mark, times=4)

    assert world.audit.writes(mark) == []
    pod = (await world.api.get("Deployment", "mms-predictor"))["spec"]["template"]["spec"]
    assert pod["containers"][-1]["image"] == "localhost/shoal:dev"


@pytest.mark.weakness("C35")
async def test_an_update_that_is_disabled_waits_for_its_user(world: World) -> None:
    await world.operator(**NEVER)
    await world.api.create(bodies.runtime("mine"))
    await serve(world, "mms", annotations=DISABLED)
    await until(lambda: is_whole(world, "mms"))

    await world.api.patch("ServingRuntime", "mine", {"spec": {"containers": NEWER}})

    body = await world.until_condition(
        "InferenceService", "mms", "PodsCurrent", "False", "Outdated"
    )
    assert condition(body, "Ready")["status"] == "True"
    assert await updated(world) == []
    scaled = {"spec": {"predictor": {"minReplicas": 2, "maxReplicas": 3}}}
    await world.api.patch("InferenceService", "mms", scaled)

    async def scales() -> bool:
        found = await world.api.get("HorizontalPodAutoscaler", "mms-predictor")
        return bool(found["spec"]["minReplicas"] == 2)

    await until(scales)
    assert await updated(world) == []

    change = {"spec": {"predictor": {"terminationGracePeriodSeconds": 5}}}
    await world.api.patch("InferenceService", "mms", change)

    async def follows() -> bool:
        return await updated(world) == ["mms"]

    await until(follows)
