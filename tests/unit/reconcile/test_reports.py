"""Statuses that the API server refuses: each is its own model's matter, up to a point."""

import asyncio
from typing import Any

import pytest

from shoal.cluster.ports import ApiError, Body
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import KEY, World

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


async def test_a_long_report_comes_in_parts_what_is_not_true_first_what_passes_last() -> None:
    # A few fit into the service's memory and may load; that the others do not stays so.
    ready, rest = [f"b{at}" for at in range(9)], [f"a{at:03}" for at in range(300)]
    passing = set(rest[:8])
    made, cluster = world(ready, [])
    for name in rest:
        cluster.put(builders.trained_model(name))

    def written() -> list[str]:
        found = [name for verb, kind, name in cluster.writes if (verb, kind) == STATUS]
        cluster.writes.clear()
        return found

    assert await made.run() == AT_ONCE
    first = written()
    assert len(first) == 200
    assert set(first[:9]) == set(ready)
    made.seconds = 2
    assert await made.hands.reconcile(KEY) != AT_ONCE
    second = written()
    assert set(second[-8:]) == passing
    assert {*first, *second} == {*ready, *rest}
    assert len(second) == 109


async def test_a_pod_that_goes_is_followed_until_no_model_says_ready_for_it() -> None:
    made, _ = world([f"m{at:03}" for at in range(201)], [])
    gone = {"uid-of-gone": "10.0.0.9"}
    made.agents.follow(KEY, gone)
    assert await made.run() == AT_ONCE
    assert made.agents.followed[KEY] == gone
    await made.hands.reconcile(KEY)
    assert not made.agents.followed[KEY]


async def test_a_pod_that_goes_is_followed_while_its_models_cannot_be_told_of() -> None:
    made, cluster = world(["a", "b"], ["a"])
    gone = {"uid-of-gone": "10.0.0.9"}
    made.agents.follow(KEY, gone)
    with pytest.raises(ApiError, match="not this one"):
        await made.run()
    assert made.agents.followed[KEY] == gone
    cluster.picked = frozenset()
    await made.hands.reconcile(KEY)
    assert not made.agents.followed[KEY]
