"""Whose a TrainedModel is, and what becomes of it when its InferenceService goes."""

from typing import Any

import pytest

from shoal.cluster import kinds
from shoal.cluster.ports import ApiError, Body
from shoal.status import conditions
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import KEY, World


@pytest.fixture
def world() -> World:
    made = World(FakeCluster(), FakeAgents())
    made.cluster.put(builders.inference_service())
    return made


def widow(world: World) -> None:
    """Let a model belong to a service of that name that was deleted."""
    owner = {"kind": "InferenceService", "name": builders.SERVICE, "uid": "uid-of-a-former-one"}
    world.cluster.put(builders.trained_model("widow", ownerReferences=[owner]))


async def test_a_model_belongs_to_its_service(world: World) -> None:
    world.cluster.put(builders.trained_model())
    await world.run()
    meta = world.one(kinds.TRAINED_MODEL, "model1-custom")["metadata"]
    assert meta["labels"] == {"inferenceservice": builders.SERVICE}
    assert [owner["uid"] for owner in meta["ownerReferences"]] == [f"uid-of-{builders.SERVICE}"]


async def test_the_models_of_a_deleted_service_are_deleted() -> None:
    world = World(FakeCluster(), FakeAgents())
    widow(world)
    world.cluster.put(builders.trained_model("waiting"))
    await world.run()
    assert world.names(kinds.TRAINED_MODEL) == ["waiting"]


async def test_the_models_of_a_deleted_service_do_not_pass_to_the_next(world: World) -> None:
    widow(world)
    world.cluster.put(builders.trained_model())
    await world.run()
    assert world.names(kinds.TRAINED_MODEL) == ["model1-custom"]


async def test_a_model_stays_whose_service_only_the_store_misses() -> None:
    world = World(FakeCluster(), FakeAgents())
    widow(world)
    store = await world.stored()
    world.cluster.put(builders.inference_service(uid="uid-of-a-former-one"))
    await world.reconciler(store).reconcile(KEY)
    assert world.names(kinds.TRAINED_MODEL) == ["widow"]


async def test_a_model_that_names_another_service_changes_hands(world: World) -> None:
    owner = {"kind": "InferenceService", "name": "former", "uid": "uid-of-former"}
    world.cluster.put(builders.trained_model(ownerReferences=[owner]))
    await world.run()
    meta = world.one(kinds.TRAINED_MODEL, "model1-custom")["metadata"]
    assert [row["name"] for row in meta["ownerReferences"]] == [builders.SERVICE]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ApiError(403, "Forbidden", 'cannot create resource "x"'), id="no-right-to"),
        pytest.param(ApiError(409, "Conflict", "uid mismatch"), id="made-anew"),
        pytest.param(ApiError(422, "Invalid", "spec: required"), id="incomplete"),
    ],
)
async def test_a_model_that_is_deleted_while_it_is_adopted_is_no_failure(
    world: World, error: ApiError
) -> None:
    world.cluster.put(builders.trained_model())
    store = await world.stored()
    del world.cluster.objects["trainedmodels", "default", "model1-custom"]
    world.cluster.refuse["apply", "TrainedModel"] = error
    await world.reconciler(store).reconcile(KEY)
    assert world.service("PredictorReady")[1] != "ReconcileFailed"


async def test_a_model_that_may_not_be_adopted_is_tried_again(world: World) -> None:
    world.cluster.put(builders.trained_model())
    world.cluster.refuse["apply", "TrainedModel"] = ApiError(403, "Forbidden", "may not patch")
    with pytest.raises(ApiError):
        await world.run()
    assert world.service("PredictorReady")[1] != "ReconcileFailed"
    assert world.names(kinds.CONFIG_MAP) == ["modelconfig-custom-model-mms-0"]


async def test_a_model_belongs_to_its_service_also_where_a_child_is_refused(world: World) -> None:
    world.cluster.put(builders.trained_model())
    world.cluster.refuse["apply", "Role"] = ApiError(403, "Forbidden", "may not grant")
    with pytest.raises(ApiError):
        await world.run()
    assert world.one(kinds.TRAINED_MODEL, "model1-custom")["metadata"]["ownerReferences"]


async def test_a_model_that_was_orphaned_on_purpose_stays() -> None:
    world = World(FakeCluster(), FakeAgents())
    widow(world)
    store = await world.stored()
    world.cluster.put(builders.trained_model("widow"))
    await world.reconciler(store).reconcile(KEY)
    assert world.names(kinds.TRAINED_MODEL) == ["widow"]


def owned(world: World) -> int:
    bodies = world.cluster.objects.items()
    return sum(
        "ownerReferences" in b["metadata"] for key, b in bodies if key[0] == "trainedmodels"
    )


async def test_most_models_are_owned_when_there_is_nothing_to_report(world: World) -> None:
    for number in range(25):
        world.cluster.put(builders.trained_model(f"m{number:02}"))
    store = await world.stored()
    reconciler = world.reconciler(store)
    world.seconds = 0
    assert await reconciler.reconcile(KEY) == 1.0
    assert owned(world) == 10
    world.seconds = 2  # held states are written now
    assert await reconciler.reconcile(KEY) == 1.0
    assert owned(world) == 20
    assert await reconciler.reconcile(KEY) is None
    assert owned(world) == 25


def served(name: str, uid: str, **meta: Any) -> Body:
    status = {"inferenceService": {"name": name, "uid": uid}}
    return {**builders.trained_model("m", **meta), "status": status}


@pytest.mark.parametrize(
    ("model", "left"),
    [
        pytest.param(served(builders.SERVICE, "uid-of-a-former-one"), [], id="its-own: gone"),
        pytest.param(served("another", "uid-of-another"), ["m"], id="it-was-of-another: stays"),
        pytest.param(
            served(
                builders.SERVICE,
                "uid-of-a-former-one",
                labels={"inferenceservice": builders.SERVICE},
            ),
            ["m"],
            id="orphaned-on-purpose: stays",
        ),
    ],
)
async def test_a_model_that_is_not_owned_yet_goes_with_the_service_that_served_it(
    model: Body, left: list[str]
) -> None:
    world = World(FakeCluster(), FakeAgents())
    world.cluster.put(model)
    await world.run()
    assert world.names(kinds.TRAINED_MODEL) == left


@pytest.mark.parametrize("successor", [False, True], ids=["no-service", "made-anew"])
@pytest.mark.parametrize("memory", ["1Mi", "a lot"], ids=["readable", "not-readable"])
async def test_what_is_told_first_does_not_hide_whose_a_model_was(
    memory: str, *, successor: bool
) -> None:
    world = World(FakeCluster(), FakeAgents())
    model = served(builders.SERVICE, "uid-of-a-former-one")
    model["spec"]["model"]["memory"] = memory
    model["status"]["conditions"] = [{"type": "Ready", "status": "True"}]  # told of at once
    world.cluster.put(model)
    if successor:
        world.cluster.put(builders.inference_service())
    world.cluster.refuse["delete", "TrainedModel"] = ApiError(503, "Unavailable", "busy")
    with pytest.raises(ApiError):
        await world.run()
    told = world.one(kinds.TRAINED_MODEL, "m")["status"]
    assert conditions.find(told, "Ready")["status"] == "False"
    assert told["inferenceService"] == {"name": builders.SERVICE, "uid": "uid-of-a-former-one"}
    world.cluster.refuse.clear()
    await world.run()
    assert world.names(kinds.TRAINED_MODEL) == []


async def test_the_status_of_a_model_that_cannot_be_read_tells_whose_it_is(world: World) -> None:
    world.cluster.put(builders.trained_model("m", memory="a lot"))
    await world.run()
    told = world.one(kinds.TRAINED_MODEL, "m")["status"]["inferenceService"]
    assert told == {"name": builders.SERVICE, "uid": f"uid-of-{builders.SERVICE}"}
