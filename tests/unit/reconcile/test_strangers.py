"""What somebody else does to objects of ours, or labels like ours, and what is said meanwhile."""

import copy

import pytest

from shoal.cluster import kinds
from shoal.cluster.ports import ApiError
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World, until_loaded

NAME = "model1-custom"
LIST = f"modelconfig-{builders.SERVICE}-0"


@pytest.fixture
async def world() -> World:
    made = World(FakeCluster(), FakeAgents())
    made.cluster.put(builders.inference_service())
    await until_loaded(made)
    assert made.model() == made.service() == ("True", "")
    return made


async def test_a_model_that_a_finalizer_holds_is_not_said_to_be_loaded(world: World) -> None:
    meta = world.one(kinds.TRAINED_MODEL, NAME)["metadata"]
    meta |= {"deletionTimestamp": "2026-11-21T11:00:00Z", "finalizers": ["somebody.else/waits"]}
    await world.run()
    assert world.one(kinds.CONFIG_MAP, LIST)["data"] == {"models.json": "[]"}
    assert world.model() == ("False", "NotAdmitted")
    (ready,) = world.one(kinds.TRAINED_MODEL, NAME)["status"]["conditions"]
    assert ready["message"] == "The model is being deleted; no server is told to load it."
    world.cluster.writes.clear()
    await world.run()
    assert ("apply status", "TrainedModel", NAME) not in world.cluster.writes


@pytest.mark.parametrize("name", ["a-copy", "z-copy"])
async def test_a_copy_of_the_deployment_says_nothing_of_the_service(
    world: World, name: str
) -> None:
    made = world.one(kinds.DEPLOYMENT, f"{builders.SERVICE}-predictor")
    body = copy.deepcopy(made)
    labels = body["metadata"]["labels"]
    body["metadata"] = builders.metadata(name, labels=labels)
    body["status"] = {"conditions": [builders.condition("Available", "False", "Broken")]}
    world.cluster.put(body)
    await world.run()
    assert world.service() == ("True", "")
    assert world.model() == ("True", "")
    made["status"], body["status"] = body["status"], made["status"]
    world.cluster.put(body)
    await world.run()
    assert world.service()[0] == "False"


@pytest.mark.parametrize(
    ("status", "models"),
    [
        pytest.param(403, ("False", "InferenceServiceNotReady"), id="by-quota"),
        pytest.param(429, ("True", ""), id="busy"),
        pytest.param(503, ("True", ""), id="not-there"),
    ],
)
async def test_an_api_server_that_is_busy_says_nothing_of_models(
    world: World, status: int, models: tuple[str, str]
) -> None:
    world.cluster.put(builders.trained_model("another"))
    world.cluster.refuse["apply", "ConfigMap"] = ApiError(status, "Refused", "not now")
    for _ in range(2):
        with pytest.raises(ApiError):
            await world.run()
        assert world.service("PredictorReady") == ("False", "ReconcileFailed")
        assert world.model() == models
