"""A limit that is raised, and the pods that have the old one until they are replaced."""

from typing import Any

from shoal import modelconfig
from shoal.cluster import kinds
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World

LIST = f"modelconfig-{builders.SERVICE}-0"


def limited(memory: str) -> dict[str, Any]:
    return {"resources": {"limits": {"memory": memory}}}


def listed(world: World) -> list[str]:
    models = modelconfig.decode(world.one(kinds.CONFIG_MAP, LIST)["data"])
    return [model.name for model in models]


def message(world: World, name: str) -> str:
    rows = world.one(kinds.TRAINED_MODEL, name)["status"]["conditions"]
    found = next(row for row in rows if row["type"] == "MemoryResourceAvailable")
    return str(found.get("message", ""))


async def test_no_pod_is_told_to_load_more_than_it_has() -> None:
    world = World(FakeCluster(), FakeAgents())
    service = builders.inference_service(containers=[builders.container(**limited("1Gi"))])
    world.cluster.put(service)
    for name in ("a", "b"):
        world.cluster.put(builders.trained_model(name, memory="600Mi"))
    await world.run()
    assert listed(world) == ["a"]
    world.add_pod()
    pod = world.one(kinds.POD, "pod-a")
    pod["spec"]["containers"][0] |= limited("1Gi")

    service["spec"]["predictor"]["containers"] = [builders.container(**limited("2Gi"))]
    world.cluster.put(service)
    await world.run()
    assert listed(world) == ["a"]
    assert message(world, "b") == (
        "The model wants 600Mi of memory, for which there is room in the server's limit of 2Gi,"
        " but a pod still runs with 1Gi; it is admitted when no pod does."
    )

    pod["spec"]["containers"][0] |= limited("2Gi")
    await world.run()
    assert listed(world) == ["a", "b"]
