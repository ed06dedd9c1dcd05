"""Statuses that the API server refuses: each is its own model's matter, up to a point."""

import asyncio
from typing import Any

import pytest

from shoal.cluster.ports import ApiError, Body
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World

AT_ONCE = 0.001
STATUS = ("apply status", "TrainedModel")


class PickyCluster(FakeCluster):
    """Refuses the statuses of the models whose names are in `picked`."""

    picked: frozenset[str] = frozenset()
    tried: int = 0

    async def apply(self, body: Body, *, subresource: str = "") -> Body:
        if subresource and body["kind"] == "TrainedModel":
            self.tried += 1
            if body["metadata"]["name"] in self.picked:
                raise ApiError(403, "Forbidden", "not this one")
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # others may be cancelled meanwhile
        return await super().apply(body, subresource=subresource)


def world(models: list[str], picked: list[str]) -> tuple[World, PickyCluster]:
    cluster = PickyCluster()
    cluster.picked = frozenset(picked)
    cluster.put(builders.inference_service())
    for name in models:
        # In words that end something, so that none is held back.
        status: Any = {"conditions": [{"type": "Ready", "status": "True"}]}
        cluster.put(builders.trained_model(name) | {"status": status})
    return World(cluster, FakeAgents()), cluster


async def test_one_refused_status_leaves_the_others_written() -> None:
    made, cluster = world(["a", "b", "c"], ["a"])
    with pytest.raises(ApiError, match="not this one"):
        await made.run()
    written = {
        name for verb, kind, name in cluster.writes if kind == "TrainedModel" and "status" in verb
    }
    assert written == {"b", "c"}


async def test_when_none_is_accepted_few_are_tried() -> None:
    names = [f"m{at:03}" for at in range(200)]
    made, cluster = world(names, names)
    with pytest.raises(ApiError, match="not this one"):
        await made.run()
    assert 3 <= cluster.tried <= 30


async def test_a_long_report_comes_in_parts_and_what_is_no_longer_true_comes_first() -> None:
    # Far more than the service's memory: that is said at once.
    waiting, ready = [f"a{at:03}" for at in range(300)], [f"b{at}" for at in range(9)]
    made, cluster = world(ready, [])
    for name in waiting:
        cluster.put(builders.trained_model(name))
    parts: list[list[str]] = []
    while not parts or parts[-1]:
        cluster.writes.clear()
        again = await made.run()
        parts.append([name for verb, kind, name in cluster.writes if (verb, kind) == STATUS])
        assert (again == AT_ONCE) is (len(parts) == 1)
    assert len(parts[0]) == 200
    assert set(parts[0][:9]) == set(ready)
    assert len(parts) == 3
    assert not set(parts[0]) & set(parts[1])
