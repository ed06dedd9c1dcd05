"""A service and the runtime that it is on, from pass to pass."""

import pytest

from shoal.cluster import kinds
from shoal.cluster.ports import Body
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World, loaded, until_loaded

DEPLOYMENT = f"{builders.SERVICE}-predictor"
MLSERVER = builders.serving_runtime("sklearn")
BETTER = builders.serving_runtime(
    {"name": "sklearn", "autoSelect": True, "priority": 9}, name="better"
)
MLSERVER_IS = "clusterServingRuntimeName"


@pytest.fixture
def world() -> World:
    cluster = FakeCluster()
    cluster.put(builders.framework("sklearn"))
    cluster.put(MLSERVER)
    return World(cluster, FakeAgents())


def image(world: World) -> str:
    pod = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]["template"]["spec"]
    found: str = pod["containers"][0]["image"]
    return found


def status(world: World) -> Body:
    found: Body = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)["status"]
    return found


def remove(world: World, body: Body) -> None:
    meta = body["metadata"]
    del world.cluster.objects[kinds.of(body).plural, meta["namespace"], meta["name"]]


def change(world: World, **predictor: object) -> None:
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["spec"]["predictor"].update(predictor)
    service["metadata"]["generation"] += 1


def model_url(world: World) -> str:
    found: str = world.one(kinds.TRAINED_MODEL, "model1-custom")["status"]["url"]
    return found


async def settled(world: World) -> None:
    """Make a pass that must not write."""
    world.cluster.writes.clear()
    await world.run()
    assert world.cluster.writes == []


async def test_a_framework_is_served_by_its_runtime(world: World) -> None:
    await until_loaded(world)
    assert image(world) == "localhost/mlserver:dev"
    assert status(world)[MLSERVER_IS] == "kserve-mlserver"
    assert world.service() == ("True", "")
    assert world.service("RuntimeAvailable") == ("True", "")
    assert world.model() == ("True", "")
    assert model_url(world).endswith("/v2/models/model1-custom/infer")
    await settled(world)


@pytest.mark.weakness("M21")
async def test_the_url_follows_the_runtimes_protocol(world: World) -> None:
    world.cluster.put(builders.serving_runtime("sklearn", protocolVersions=["v2", "v1"]))
    await until_loaded(world)
    assert model_url(world).endswith("/v1/models/model1-custom:predict")


@pytest.mark.weakness("C20")
async def test_a_runtime_that_would_be_preferred_moves_nobody(world: World) -> None:
    await until_loaded(world)
    world.cluster.put(BETTER)
    await settled(world)
    assert status(world)[MLSERVER_IS] == "kserve-mlserver"


async def test_scaling_moves_nobody(world: World) -> None:
    await until_loaded(world)
    world.cluster.put(BETTER)
    change(world, minReplicas=2, maxReplicas=4)
    await world.run()
    assert status(world)[MLSERVER_IS] == "kserve-mlserver"
    assert world.one(kinds.AUTOSCALER, DEPLOYMENT)["spec"]["minReplicas"] == 2


async def test_another_spec_of_the_pods_chooses_anew(world: World) -> None:
    await until_loaded(world)
    world.cluster.put(BETTER)
    change(world, sklearn={"env": [{"name": "A", "value": "b"}]})
    await world.run()
    assert status(world)[MLSERVER_IS] == "better"


async def test_a_changed_runtime_is_followed(world: World) -> None:
    await until_loaded(world)
    box = {"name": "kserve-container", "image": "localhost/mlserver:2"}
    world.cluster.put(builders.serving_runtime("sklearn", containers=[box]))
    await world.run()
    assert image(world) == "localhost/mlserver:2"


async def test_a_runtime_that_goes_leaves_the_service_as_it_runs(world: World) -> None:
    await until_loaded(world)
    remove(world, MLSERVER)
    world.cluster.put(BETTER)
    before = dict(world.one(kinds.DEPLOYMENT, DEPLOYMENT))
    await world.run()
    assert world.service("RuntimeAvailable") == ("False", "RuntimeNotRecognized")
    assert world.service() == ("True", "")
    assert world.model() == ("True", "")
    assert world.one(kinds.DEPLOYMENT, DEPLOYMENT) == before
    assert world.cluster.events()[-1] == "RuntimeNotRecognized"
    await settled(world)


async def test_without_its_runtime_a_service_takes_models_and_scales(world: World) -> None:
    await until_loaded(world)
    remove(world, MLSERVER)
    world.cluster.put(builders.trained_model("model2-custom"))
    change(world, minReplicas=2, maxReplicas=4)
    await world.run()
    listed = world.one(kinds.CONFIG_MAP, f"modelconfig-{builders.SERVICE}-0")["data"]
    assert "model2-custom" in listed["models.json"]
    assert world.one(kinds.AUTOSCALER, DEPLOYMENT)["spec"]["minReplicas"] == 2
    assert world.service("RuntimeAvailable") == ("False", "RuntimeNotRecognized")
    await settled(world)


async def test_a_runtime_that_comes_back_is_taken_up(world: World) -> None:
    await until_loaded(world)
    remove(world, MLSERVER)
    await world.run()
    world.cluster.put(MLSERVER)
    await world.run()
    assert world.service("RuntimeAvailable") == ("True", "")


async def test_without_its_runtime_another_spec_is_refused(world: World) -> None:
    world.cluster.put(
        builders.framework("model", {"modelFormat": {"name": "sklearn"}, "runtime": MLSERVER_NAME})
    )
    await until_loaded(world)
    remove(world, MLSERVER)
    change(world, nodeSelector={"a": "b"})
    await world.run()
    assert world.service("PredictorReady") == ("False", "RuntimeNotRecognized")
    assert image(world) == "localhost/mlserver:dev"
    failure = status(world)["modelStatus"]
    assert failure["transitionStatus"] == "InvalidSpec"
    assert failure["lastFailureInfo"]["reason"] == "RuntimeNotRecognized"
    assert model_url(world).endswith("/v2/models/model1-custom/infer")


async def test_a_disabled_runtime_goes_on_serving_those_on_it(world: World) -> None:
    await until_loaded(world)
    world.cluster.put(builders.serving_runtime("sklearn", disabled=True))
    await world.run()
    assert world.service() == ("True", "")
    assert world.service("RuntimeAvailable") == ("False", "RuntimeDisabled")
    assert status(world)["modelStatus"]["transitionStatus"] == "UpToDate"


async def test_a_service_waits_for_a_runtime(world: World) -> None:
    remove(world, MLSERVER)
    world.cluster.put(builders.trained_model())
    await world.run()
    assert world.service() == ("False", "NoSupportingRuntime")
    assert world.names(kinds.DEPLOYMENT) == []
    assert "url" not in world.one(kinds.TRAINED_MODEL, "model1-custom")["status"]
    await settled(world)
    world.cluster.put(MLSERVER)
    await until_loaded(world)
    assert world.service() == ("True", "")


async def test_a_runtime_that_cannot_be_read_serves_nobody(world: World) -> None:
    broken = builders.serving_runtime("sklearn", name="broken", protocolVersions="v2")
    world.cluster.put(broken)
    await world.run()
    assert status(world)[MLSERVER_IS] == "kserve-mlserver"


async def test_starting_again_chooses_anew(world: World) -> None:
    await until_loaded(world)
    world.cluster.put(BETTER)
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    await world.run()
    assert world.names(kinds.DEPLOYMENT) == []
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["metadata"]["annotations"] = {}
    world.say(loaded())
    await world.run()
    assert status(world)[MLSERVER_IS] == "better"


MLSERVER_NAME = MLSERVER["metadata"]["name"]
