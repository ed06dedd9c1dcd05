"""A TrainedModel that is changed into one that cannot be read: the version before serves on."""

from typing import Any

import pytest

from shoal.cluster import kinds
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World, until_loaded

ARTIFACT = "serving.kserve.io/artifact-digest"
REFRESH = "serving.kserve.io/refresh"
NAME = "model1-custom"
LIST = f"modelconfig-{builders.SERVICE}-0"
SAYS = (
    "metadata.annotations[serving.kserve.io/artifact-digest]: must be 'sha256:' and 64 lower-case"
    " hex digits, not 'md5:12' (the version before still answers)"
)


@pytest.fixture
async def world() -> World:
    made = World(FakeCluster(), FakeAgents())
    made.cluster.put(builders.inference_service())
    await until_loaded(made)
    assert made.model() == ("True", "")
    made.cluster.writes.clear()
    return made


def annotate(world: World, **given: str) -> None:
    world.one(kinds.TRAINED_MODEL, NAME)["metadata"]["annotations"] = given


def changed(world: World) -> list[str]:
    return [name for _, kind, name in world.cluster.writes if kind == kinds.CONFIG_MAP.kind]


def status(world: World) -> dict[str, Any]:
    told: dict[str, Any] = world.one(kinds.TRAINED_MODEL, NAME)["status"]
    return told


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({ARTIFACT: "md5:12"}, "InvalidSpec", id="malformed"),
        pytest.param({REFRESH: "x" * 20_000}, "ModelTooBig", id="too-big"),
    ],
)
async def test_it_serves_on(world: World, given: dict[str, str], reason: str) -> None:
    annotate(world, **given)
    await world.run()
    await world.run()
    assert changed(world) == []
    assert world.model() == ("False", reason)
    assert world.model("ModelLoaded") == ("False", reason)
    assert world.model("Serving") == ("True", "")
    assert world.model("MemoryResourceAvailable") == ("True", "")
    assert status(world)["copies"]["summary"] == "0/1"


async def test_its_status_says_what_is_wrong_and_that_it_serves(world: World) -> None:
    before = status(world)
    annotate(world, **{ARTIFACT: "md5:12"})
    await world.run()
    rows = {row["type"]: row.get("message") for row in status(world)["conditions"]}
    assert rows["Ready"] == rows["ModelLoaded"] == SAYS
    assert status(world)["url"] == before["url"]
    assert status(world)["inferenceService"] == before["inferenceService"]


async def test_it_does_not_say_that_it_serves_where_it_does_not(world: World) -> None:
    annotate(world, **{ARTIFACT: "md5:12"})
    world.agents.reports.clear()
    await world.run()
    rows = {row["type"]: row for row in status(world)["conditions"]}
    assert rows["Ready"]["message"] == SAYS.removesuffix(" (the version before still answers)")
    assert rows["Serving"]["status"] == "Unknown"


async def test_once_mended_it_is_ready_and_nothing_was_loaded(world: World) -> None:
    annotate(world, **{ARTIFACT: "md5:12"})
    await world.run()
    annotate(world)
    await world.run()
    assert world.model() == ("True", "")
    assert changed(world) == []


async def test_deleted_it_is_served_no_more(world: World) -> None:
    annotate(world, **{ARTIFACT: "md5:12"})
    await world.run()
    del world.cluster.objects["trainedmodels", "default", NAME]
    await world.run()
    assert world.one(kinds.CONFIG_MAP, LIST)["data"] == {"models.json": "[]"}


async def test_one_that_was_never_served_is_not(world: World) -> None:
    before = world.one(kinds.CONFIG_MAP, LIST)["data"]
    world.cluster.put(builders.trained_model("new", annotations={ARTIFACT: "md5:12"}))
    await world.run()
    assert world.model(name="new") == ("False", "InvalidSpec")
    assert world.one(kinds.CONFIG_MAP, LIST)["data"] == before


async def test_its_memory_is_still_taken(world: World) -> None:
    annotate(world, **{ARTIFACT: "md5:12"})
    world.cluster.put(builders.trained_model("large", memory="1000Ti"))
    await world.run()
    rows = world.one(kinds.TRAINED_MODEL, "large")["status"]["conditions"]
    assert "the models admitted before it take 256Mi" in next(
        row["message"] for row in rows if row["type"] == "MemoryResourceAvailable"
    )
