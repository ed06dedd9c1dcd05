"""The list of models over several ConfigMaps: what is written, in which order, and what stays."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from shoal import modelconfig, names
from shoal.agent.shardsets import ShardSet
from shoal.cluster import kinds
from shoal.cluster.ports import Body
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World

PREFIX = f"modelconfig-{builders.SERVICE}-"
LONG = 12_000
ONE, TWO, FOUR = 10, 30, 50  # models of that length that are in so many ConfigMaps


class KilledError(Exception):
    """The operator ends here."""


def model(number: int, *, length: int = LONG, **given: Any) -> Body:
    address = "s3://" + "x" * length
    return builders.trained_model(f"m{number}", storage_uri=address, memory="1Mi", **given)


@pytest.fixture
async def world() -> World:
    made = World(FakeCluster(), FakeAgents())
    made.cluster.put(builders.inference_service())
    await want(made, 0, TWO)
    made.cluster.writes.clear()
    return made


async def want(world: World, start: int, end: int) -> None:
    """Let there be exactly these models, and bring the service to rest."""
    for name in world.names(kinds.TRAINED_MODEL):
        del world.cluster.objects["trainedmodels", "default", name]
    for number in range(start, end):
        world.cluster.put(model(number))
    await world.run()
    await world.run()


def shards(world: World) -> dict[str, Body]:
    return {
        name.removeprefix(PREFIX): world.one(kinds.CONFIG_MAP, name)
        for name in world.names(kinds.CONFIG_MAP)
    }


def listed(world: World) -> set[str] | None:
    """Read the list as an agent does that begins now; None where it would do nothing."""
    seen = ShardSet(partial(names.model_config, builders.SERVICE))
    for name, body in shards(world).items():
        seen.put(int(name), modelconfig.read(body))
    whole = seen.whole()
    return {model.name for model in whole.models} if whole else None


def writes(world: World) -> list[tuple[str, str]]:
    """Return what was written of the list, in order."""
    return [
        (verb, name.removeprefix(PREFIX))
        for verb, kind, name in world.cluster.writes
        if kind == "ConfigMap"
    ]


def every(start: int, end: int) -> set[str]:
    return {f"m{number}" for number in range(start, end)}


async def test_a_list_that_grows_is_told_of_by_its_first_shard_last(world: World) -> None:
    await want(world, 0, FOUR)
    assert writes(world) == [("apply", shard) for shard in "3210"]
    assert listed(world) == every(0, FOUR)
    first = next(name for _, kind, name in world.cluster.writes if kind in ("Role", "ConfigMap"))
    assert first == f"{builders.SERVICE}-agent", "agents must be allowed before they are told"


async def test_a_list_that_shrinks_is_told_of_by_its_first_shard_first(world: World) -> None:
    await want(world, 0, ONE)
    assert writes(world) == [("apply", "0"), ("delete", "1")]
    assert "shards" not in shards(world)["0"]["data"]
    assert listed(world) == every(0, ONE)


async def test_a_change_writes_one_shard(world: World) -> None:
    world.cluster.put(model(3, length=LONG - 1))
    await world.run()
    assert len(writes(world)) == 1


async def test_a_settled_list_costs_no_write(world: World) -> None:
    await want(world, 0, TWO)
    assert [row for row in world.cluster.writes if row[1] != "TrainedModel"] == []


@pytest.mark.parametrize(("end", "kills"), [(FOUR, 4), (ONE, 1)], ids=["growing", "shrinking"])
async def test_killed_after_any_write_no_model_is_lost_and_the_next_operator_goes_on(
    world: World, end: int, kills: int
) -> None:
    for number in range(FOUR):
        world.cluster.objects.pop(("trainedmodels", "default", f"m{number}"), None)
        if number < end:
            world.cluster.put(model(number))
    killed = 0
    while await _is_killed_after_a_write(world):
        killed += 1
        assert listed(world) in (None, every(0, TWO), every(0, end))
    assert killed == kills
    await world.run()
    assert listed(world) == every(0, end)


async def _is_killed_after_a_write(world: World) -> bool:
    """Run an operator that ends when it writes its second ConfigMap, or the first owner."""
    world.cluster.writes.clear()

    def kill() -> None:
        if writes(world):
            raise KilledError

    world.cluster.on_apply = kill
    try:
        await world.run()
    except (KilledError, ExceptionGroup):
        return True
    return False


def _edit(body: Body) -> None:
    body["data"]["models.json"] = "[]"


def _remove_number(body: Body) -> None:
    del body["data"]["shards"]


def _empty(body: Body) -> None:
    del body["data"]


def _sign(body: Body) -> None:
    body["metadata"]["annotations"].clear()


@pytest.mark.parametrize("shard", ["0", "1"])
@pytest.mark.parametrize("harm", [_edit, _remove_number, _empty, _sign, None])
async def test_what_somebody_does_to_a_shard_is_undone_with_one_write(
    world: World, harm: Callable[[Body], None] | None, shard: str
) -> None:
    # So few that one shard would do, if nothing told how many there are.
    await want(world, 0, TWO - 12)
    before = copy.deepcopy(shards(world))
    assert list(before) == ["0", "1"]
    world.cluster.writes.clear()
    if harm:
        harm(shards(world)[shard])
    else:
        del world.cluster.objects["configmaps", "default", PREFIX + shard]

    await world.run()

    assert writes(world) == [("apply", shard)]
    after = shards(world)
    assert {name: body["data"] for name, body in after.items()} == {
        name: body["data"] for name, body in before.items()
    }


async def test_a_lost_shard_lets_no_older_model_take_the_place_of_one_that_is_loaded() -> None:
    world = World(FakeCluster(), FakeAgents())
    world.cluster.put(builders.inference_service(containers=[_box("2Mi")]))
    for number in (1, 2):
        world.cluster.put(model(number, creationTimestamp="2026-11-21T12:00:00Z"))
    await world.run()
    admitted = builders.condition("MemoryResourceAvailable", "True")
    for number in (1, 2):
        world.one(kinds.TRAINED_MODEL, f"m{number}")["status"] = {"conditions": [admitted]}
    world.cluster.put(model(0, creationTimestamp="2026-11-21T11:00:00Z"))
    await world.run()
    assert listed(world) == every(1, 3)
    del world.cluster.objects["configmaps", "default", PREFIX + "0"]
    await world.run()
    assert listed(world) == every(1, 3)


def _box(memory: str) -> Body:
    return builders.container(resources={"limits": {"memory": memory}})


async def test_a_shard_of_somebody_else_is_left_alone_and_told(world: World) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": builders.metadata(f"{PREFIX}3"),
        "data": {"theirs": "x"},
    }
    world.cluster.put(theirs)
    await want(world, 0, FOUR)
    assert world.service("PredictorReady") == ("False", "NotOwned")
    assert world.one(kinds.CONFIG_MAP, f"{PREFIX}3")["data"] == {"theirs": "x"}
    del world.cluster.objects["configmaps", "default", f"{PREFIX}3"]
    assert listed(world) == every(0, TWO), "agents serve on what they have"


async def test_a_stopped_service_keeps_every_shard(world: World) -> None:
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    await world.run()
    assert listed(world) == every(0, TWO)
    service["metadata"]["annotations"] = {}
    await world.run()
    assert writes(world) == []


async def test_a_model_that_is_too_big_is_refused_alone(world: World) -> None:
    world.cluster.put(model(99, length=600_000))
    await world.run()
    assert world.model(name="m99") == ("False", "ModelTooBig")
    assert (
        "600109 bytes"
        in world.one(kinds.TRAINED_MODEL, "m99")["status"]["conditions"][0]["message"]
    )
    assert writes(world) == []
    assert listed(world) == every(0, TWO)
