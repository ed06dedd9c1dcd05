"""A service and the storage container that fetches its model, from pass to pass."""

from typing import Any

import pytest

from shoal.cluster import kinds
from shoal.cluster.ports import Body
from shoal.desired.records import Record
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import AVAILABLE, World

DEPLOYMENT = f"{builders.SERVICE}-predictor"
WHOLE = builders.condition("Progressing", "True", "NewReplicaSetAvailable")
DEMO = builders.storage_container("demo://", name="demo")
NEWER = builders.storage_container("demo://", name="demo", image="example/fetcher:2")


def service(uri: str = "demo://iris", **predictor: Any) -> Body:
    env = [{"name": "STORAGE_URI", "value": uri}]
    return builders.inference_service(
        containers=[builders.container(env=env)], predictor=predictor
    )


@pytest.fixture
def world() -> World:
    return World(FakeCluster(), FakeAgents())


async def served(world: World, body: Body, *containers: Body) -> None:
    """Bring a service to a Deployment that is rolled out."""
    for one in (body, *containers):
        world.cluster.put(one)
    await world.run()
    live = world.one(kinds.DEPLOYMENT, DEPLOYMENT)
    live["status"] = {"conditions": [*AVAILABLE, WHOLE], "observedGeneration": 1}
    await world.run()


def annotate(world: World, annotations: dict[str, str]) -> None:
    world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)["metadata"]["annotations"] = annotations


def drop(world: World, name: str = "demo") -> None:
    del world.cluster.objects["clusterstoragecontainers", "", name]


def image(world: World) -> str:
    pod = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]["template"]["spec"]
    found: str = pod["initContainers"][-1]["image"]
    return found


def said(world: World, kind: str = "StorageContainerAvailable") -> Body:
    rows = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)["status"]["conditions"]
    found: Body = next((row for row in rows if row["type"] == kind), {})
    return found


async def quiet(world: World) -> None:
    """Make a pass that must not write."""
    world.cluster.writes.clear()
    await world.run()
    assert world.cluster.writes == []


async def test_an_address_that_nobody_fetches_waits_for_one_that_does(world: World) -> None:
    world.cluster.put(service())
    await world.run()
    assert world.service() == ("False", "NotSupported")
    assert said(world, "Ready")["message"] == (
        "spec.predictor.containers[0].env[STORAGE_URI]: demo:// is not fetched by this version,"
        " write one that begins with s3://, gs://, https://, http://, az://, hf://, pvc://,"
        " file://, oci://, oci+native://"
    )
    assert world.names(kinds.DEPLOYMENT) == []

    world.cluster.put(DEMO)
    await world.run()
    assert image(world) == "example/fetcher:1"
    row = said(world)
    assert (row["status"], row["severity"]) == ("True", "Info")
    assert row["message"] == "The models are fetched by ClusterStorageContainer demo."
    await quiet(world)


async def test_why_one_that_supports_the_address_is_not_taken_is_told(world: World) -> None:
    world.cluster.put(service())
    world.cluster.put(builders.storage_container("demo://", name="demo", disabled=True))
    await world.run()
    message = said(world, "Ready")["message"]
    assert "; ClusterStorageContainer demo: disabled is true; enable it" in message


async def test_a_container_that_is_named_is_waited_for(world: World) -> None:
    world.cluster.put(service("s3://models/iris", storageContainerName="demo"))
    await world.run()
    assert world.service() == ("False", "StorageContainerNotFound")
    status = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)["status"]
    assert status["modelStatus"]["lastFailureInfo"]["reason"] == "InvalidPredictorSpec"
    assert "StorageContainerNotFound" in world.cluster.events()

    world.cluster.put(builders.storage_container("s3://", name="demo"))
    await world.run()
    assert image(world) == "example/fetcher:1"


async def test_a_name_without_a_model_to_fetch_is_without_effect_and_told(world: World) -> None:
    world.cluster.put(service("pvc://claim/iris", storageContainerName="demo"))
    await world.run()
    assert world.service("FieldsHonoured") == ("False", "FieldsIgnored")
    assert "storageContainerName" in said(world, "FieldsHonoured")["message"]


async def test_a_changed_container_is_followed_under_the_limit(world: World) -> None:
    await served(world, service(), DEMO)
    for number in range(10):
        body = builders.deployment([*AVAILABLE])
        body["metadata"] |= {
            "name": f"other-{number}",
            "labels": {"serving.kserve.io/inferenceservice": f"other-{number}"},
            "annotations": Record("t", automatic=True).encode(),
        }
        world.cluster.put(body)
    world.cluster.put(NEWER)
    await world.run()
    assert image(world) == "example/fetcher:1"
    assert world.service("PodsCurrent") == ("False", "RolloutPending")

    del world.cluster.objects["deployments", "default", "other-0"]
    await world.run()
    assert image(world) == "example/fetcher:2"


async def test_an_update_of_the_container_that_is_disabled_waits(world: World) -> None:
    await served(world, service(), DEMO)
    annotate(world, {"serving.kserve.io/disable-auto-update": "true"})
    world.cluster.put(NEWER)
    await world.run()
    assert image(world) == "example/fetcher:1"
    assert world.service("PodsCurrent") == ("False", "Outdated")
    annotate(world, {})
    await world.run()
    assert image(world) == "example/fetcher:2"


async def test_without_its_container_a_service_goes_on_and_takes_it_up_again(
    world: World,
) -> None:
    await served(world, service(), DEMO)
    before = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]
    drop(world)
    await world.run()
    assert world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"] == before
    assert "annotations" not in world.one(kinds.SERVICE, DEPLOYMENT)["metadata"]
    row = said(world)
    assert (row["status"], row["reason"]) == ("False", "StorageContainerNotFound")
    assert row["severity"] == "Info"
    assert world.service("PredictorReady") == ("True", "NewReplicaSetAvailable")
    await quiet(world)

    # Another that supports the address does not take it over.
    world.cluster.put(builders.storage_container("demo://", name="another"))
    await quiet(world)

    world.cluster.put(NEWER)
    await world.run()
    assert image(world) == "example/fetcher:2"


async def test_without_its_container_another_spec_is_refused(world: World) -> None:
    await served(world, service(storageContainerName="demo"), DEMO)
    before = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]
    drop(world)
    live = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    live["spec"]["predictor"]["nodeSelector"] = {"a": "b"}
    await world.run()
    assert world.service() == ("False", "StorageContainerNotFound")
    assert world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"] == before


async def test_naming_another_moves_the_service_at_once(world: World) -> None:
    other = builders.storage_container("demo://", name="other", image="example/other:1")
    await served(world, service(), DEMO, other)
    live = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    live["metadata"]["annotations"] = {"serving.kserve.io/disable-auto-update": "true"}
    live["spec"]["predictor"]["storageContainerName"] = "other"
    await world.run()
    assert image(world) == "example/other:1"
    assert said(world).get("reason", "") == ""


async def test_one_that_comes_later_moves_nobody_and_is_told(world: World) -> None:
    await served(world, service(), DEMO)
    world.cluster.put(builders.storage_container("demo://", name="a", image="example/a:1"))
    await world.run()
    assert image(world) == "example/fetcher:1"
    row = said(world)
    assert (row["status"], row["reason"]) == ("True", "StorageContainersOverlap")
    assert row["severity"] == "Warning"
    assert "StorageContainersOverlap" in world.cluster.events()
    await quiet(world)


async def test_one_that_comes_later_leaves_services_on_our_own(world: World) -> None:
    await served(world, service("s3://models/iris"))
    before = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]
    assert said(world) == {}
    world.cluster.put(builders.storage_container("s3://"))
    await world.run()
    assert world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"] == before
    assert said(world)["severity"] == "Info"

    live = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    live["spec"]["predictor"]["nodeSelector"] = {"a": "b"}
    await world.run()
    assert image(world) == "example/fetcher:1"


async def test_of_several_secrets_of_the_account_the_one_that_counts_is_told(
    world: World,
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    secrets = [{"name": "b"}, {"name": "a"}]
    world.cluster.put(account | {"metadata": builders.metadata("default"), "secrets": secrets})
    await served(world, service(), DEMO)
    assert said(world)["reason"] == "SecretsAmbiguous"


async def test_one_that_cannot_be_read_serves_nobody(world: World) -> None:
    world.cluster.put(builders.storage_container("demo://", workloadType="daemon"))
    world.cluster.put(service())
    await world.run()
    assert world.service() == ("False", "NotSupported")
