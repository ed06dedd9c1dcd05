"""Storage containers that come, change and go: which services hear of it, and how soon."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import Body, condition, until
from integration.operator_process.worlds import PASSES, World

NEVER = {"SHOAL_RELIST_SECONDS": "3600"}  # what is heard is heard by the watch
LONG = 1.0  # many times what a watch and a pass take


def service(uri: str, **predictor: Any) -> Body:
    env = [{"name": "STORAGE_URI", "value": uri}]
    body = bodies.service("iris", container={"env": env})
    body["spec"]["predictor"] |= predictor
    return body


def container(name: str, scheme: str, image: str = "example/fetcher:1") -> Body:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": {"name": name},
        "spec": {
            "container": {"name": "storage-initializer", "image": image},
            "supportedUriFormats": [{"prefix": f"{scheme}://"}],
        },
    }


@pytest.fixture
async def name(world: World) -> AsyncIterator[str]:
    """A name, and a scheme, for the storage container of this test alone."""
    made = f"c-{world.namespace}"
    yield made
    if await world.api.find("ClusterStorageContainer", made):
        await world.api.delete("ClusterStorageContainer", made)


def fetcher(world: World, image: str = "") -> Callable[[], Any]:
    async def find() -> Body | None:
        """Find the init container, of an image where one is given."""
        body = await world.api.find("Deployment", "iris-predictor")
        if body is None:
            return None
        (box,) = body["spec"]["template"]["spec"]["initContainers"]
        return box if image in ("", box["image"]) else None

    return find


async def test_an_address_waits_for_a_container_that_supports_it(world: World, name: str) -> None:
    await world.operator(**NEVER)
    await world.api.create(service(f"{name}://iris"))
    await world.until_condition("InferenceService", "iris", "Ready", "False", "NotSupported")

    await world.api.create(container(name, name))
    box = await until(fetcher(world))

    assert box["args"] == [f"{name}://iris", "/mnt/models"]
    assert box["image"] == "example/fetcher:1"
    assert await world.api.find("Role", "iris-agent") is None
    await world.run_pods("iris", host=False)
    body = await world.ready("InferenceService", "iris")
    told = condition(body, "StorageContainerAvailable")
    assert told["message"] == f"The models are fetched by ClusterStorageContainer {name}."


async def test_a_service_waits_for_the_container_that_it_names_and_follows_it(
    world: World, name: str
) -> None:
    await world.operator(**NEVER)
    await world.api.create(service("s3://models/iris", storageContainerName=name))
    missing = "StorageContainerNotFound"
    await world.until_condition("InferenceService", "iris", "Ready", "False", missing)

    await world.api.create(container(name, "s3"))
    await until(fetcher(world))

    changed = {"spec": {"container": {"name": "storage-initializer", "image": "example/b:2"}}}
    await world.api.patch("ClusterStorageContainer", name, changed)
    await until(fetcher(world, "example/b:2"))

    await world.run_pods("iris", host=False)
    await world.ready("InferenceService", "iris")
    before = await world.api.get("Deployment", "iris-predictor")
    await world.api.delete("ClusterStorageContainer", name)
    body = await world.until_condition(
        "InferenceService", "iris", "StorageContainerAvailable", "False", missing
    )
    assert condition(body, "Ready")["status"] == "True"
    after = await world.api.get("Deployment", "iris-predictor")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_container_wakes_nobody_whom_it_does_not_concern(world: World, name: str) -> None:
    program = await world.operator(**NEVER)
    await world.api.create(bodies.unscaled(service("s3://models/iris")))
    await world.run_pods("iris", host=False)
    await world.ready("InferenceService", "iris")
    before = await world.quiet(program)

    await world.api.create(container(name, name))
    await world.api.patch("ClusterStorageContainer", name, {"disabled": True})
    await world.api.delete("ClusterStorageContainer", name)
    await asyncio.sleep(LONG)
    assert await program.metric(PASSES) == before
