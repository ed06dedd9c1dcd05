"""A model in an image, from pass to pass: what a cluster that gets newer changes."""

from shoal.cluster import kinds
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World

ENV = [{"name": "STORAGE_URI", "value": "oci://registry.example.com/iris:1"}]


def images(world: World) -> list[str]:
    """Name the volumes of the pods that are images."""
    body = world.one(kinds.DEPLOYMENT, f"{builders.SERVICE}-predictor")
    volumes = body["spec"]["template"]["spec"]["volumes"]
    return [row["name"] for row in volumes if "image" in row]


async def test_it_is_a_volume_in_a_new_cluster_and_stays_what_it_is_in_an_old_one() -> None:
    found = []
    for first in ((1, 34), (1, 35)):
        world = World(FakeCluster(), FakeAgents())
        box = builders.container(env=ENV)
        world.cluster.put(builders.inference_service(containers=[box]))
        world.cluster.kubernetes = first
        await world.run()
        found.append(images(world))
        world.cluster.kubernetes = (1, 35)
        world.cluster.writes.clear()
        await world.run()
        assert world.cluster.writes == []
    assert found == [[], ["kserve-oci-source"]]


async def test_a_cluster_that_cannot_is_told_and_served_once_it_can() -> None:
    world = World(FakeCluster(), FakeAgents())
    world.data = {"storageInitializer": '{"ociModelMode": "native"}'}
    world.cluster.put(builders.inference_service(containers=[builders.container(env=ENV)]))
    await world.run()
    assert world.service() == ("False", "NotSupported")
    assert world.names(kinds.DEPLOYMENT) == []
    world.cluster.kubernetes = (1, 33)
    await world.run()
    assert images(world) == ["kserve-oci-source"]


async def test_pods_without_their_image_are_never_made_and_asked_for_again() -> None:
    world = World(FakeCluster(), FakeAgents())
    box = builders.container(env=[{**ENV[0], "value": "oci+native://registry.example.com/iris:1"}])
    world.cluster.put(builders.inference_service(containers=[box]))
    world.cluster.kubernetes = (1, 34)
    world.cluster.knows_images = False
    assert await world.run() == 60
    assert world.service() == ("False", "NotSupported")
    assert world.names(kinds.DEPLOYMENT) == []
    world.cluster.knows_images = True
    assert await world.run() is None
    assert images(world) == ["kserve-oci-source"]
