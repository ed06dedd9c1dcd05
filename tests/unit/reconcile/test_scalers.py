"""Who scales a service, from pass to pass: an HPA, KEDA, or nobody of ours."""

import pytest

from shoal.cluster import kinds
from shoal.cluster.ports import ApiError
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World, until_loaded

NAME = f"{builders.SERVICE}-predictor"
SCALERS = frozenset(kind.kind for kind in kinds.SCALERS)


@pytest.fixture
def world() -> World:
    made = World(FakeCluster(), FakeAgents(), optional=kinds.OPTIONAL)
    made.cluster.put(builders.inference_service())
    return made


def choose(world: World, name: str) -> None:
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["metadata"]["annotations"] = {"serving.kserve.io/autoscalerClass": name}


def scalers(world: World) -> list[str]:
    return [kind.kind for kind in kinds.SCALERS if world.names(kind)]


@pytest.mark.weakness("C8")
async def test_a_change_of_class_takes_the_old_scaler_away_before_it_makes_the_new(
    world: World,
) -> None:
    await until_loaded(world)
    for name, left in (("keda", ["ScaledObject"]), ("hpa", ["HorizontalPodAutoscaler"])):
        choose(world, name)
        world.cluster.writes.clear()
        await world.run()
        assert scalers(world) == left
        verbs = [verb for verb, kind, _ in world.cluster.writes if kind in SCALERS]
        assert verbs == ["delete", "apply"]
        world.cluster.writes.clear()
        await world.run()
        assert world.cluster.writes == []


@pytest.mark.parametrize("name", ["none", "external"])
async def test_no_scaler_of_ours_stays_where_somebody_else_scales(world: World, name: str) -> None:
    choose(world, "keda")
    await until_loaded(world)
    choose(world, name)
    await world.run()
    assert scalers(world) == []


async def test_without_keda_the_service_is_served_and_what_is_missing_is_told(
    world: World,
) -> None:
    world.optional = ()
    choose(world, "keda")
    await until_loaded(world)
    assert scalers(world) == []
    assert world.service() == ("True", "")
    assert world.service("AutoscalerReady") == ("False", "KedaNotInstalled")
    assert world.cluster.events().count("KedaNotInstalled") == 1

    world.optional = kinds.OPTIONAL
    await world.run()
    assert scalers(world) == ["ScaledObject"]
    with pytest.raises(StopIteration):
        world.service("AutoscalerReady")


@pytest.mark.weakness("C9")
async def test_what_keda_says_is_told(world: World) -> None:
    choose(world, "keda")
    await until_loaded(world)
    row = builders.condition("Ready", "False", "ScaledObjectCheckFailed", "no such server")
    world.one(kinds.SCALED_OBJECT, NAME)["status"] = {"conditions": [row]}
    await world.run()
    assert world.service("AutoscalerReady") == ("False", "AutoscalerNotReady")
    status = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)["status"]
    rows = {row["type"]: row.get("message") for row in status["conditions"]}
    assert rows["AutoscalerReady"] == "KEDA says: no such server"
    assert world.service() == ("True", "")


@pytest.mark.weakness("C9")
async def test_what_is_refused_is_told(world: World) -> None:
    choose(world, "keda")
    refusal = ApiError(422, "Invalid", "spec.triggers: too many")
    world.cluster.refuse["apply", "ScaledObject"] = refusal
    await world.run()
    assert world.service() == ("False", "ReconcileFailed")
