"""When the pods of a service are made anew, and what is said while they are not."""

from typing import Any

import pytest

from shoal.cluster import kinds
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World, until_loaded

DEPLOYMENT = f"{builders.SERVICE}-predictor"


@pytest.fixture
def world() -> World:
    made = World(FakeCluster(), FakeAgents())
    made.cluster.put(builders.inference_service())
    return made


def strategy(world: World) -> Any:
    deployment = world.one(kinds.DEPLOYMENT, "custom-model-mms-predictor")
    return deployment["spec"]["strategy"]["rollingUpdate"]


async def test_on_a_full_cluster_the_old_pod_gives_way_to_the_first_with_an_agent(
    world: World,
) -> None:
    await world.run()
    world.cluster.put(builders.trained_model())
    world.add_pod("pod-old", agent=False)
    world.add_pod("pod-new", ready=False)
    await world.run()
    assert strategy(world) == {"maxSurge": "25%", "maxUnavailable": "25%"}
    new = world.one(kinds.POD, "pod-new")
    new["status"]["conditions"] = [builders.condition("PodScheduled", "False", "Unschedulable")]
    await world.run()
    assert strategy(world) == {"maxSurge": 0, "maxUnavailable": 1}
    del world.cluster.objects["pods", "default", "pod-old"]
    await world.run()
    assert strategy(world) == {"maxSurge": "25%", "maxUnavailable": "25%"}


async def test_a_label_on_the_service_waits_for_the_next_pods_and_is_told(world: World) -> None:
    await until_loaded(world)
    before = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["metadata"]["labels"] = {"team": "a"}
    await world.run()
    assert world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"] == before
    assert world.one(kinds.DEPLOYMENT, DEPLOYMENT)["metadata"]["labels"]["team"] == "a"
    assert world.service("PodsCurrent") == ("False", "Outdated")
    assert world.service() == ("True", "")
    world.cluster.writes.clear()
    await world.run()
    assert world.cluster.writes == []

    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["spec"]["predictor"]["nodeSelector"] = {"a": "b"}
    await world.run()
    made = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]["template"]
    assert made["metadata"]["labels"]["team"] == "a"
    with pytest.raises(StopIteration):
        world.service("PodsCurrent")
