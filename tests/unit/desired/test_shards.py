"""Where each model of a list is, and what moves when the list grows and shrinks."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import modelconfig
from shoal.desired import configmaps, roles, shards
from shoal.modelconfig import LARGEST_MODEL, Model
from support import builders

SIZES = st.one_of(st.integers(150, 400), st.integers(150, 8000), st.just(15_000))
LISTS = st.lists(SIZES, max_size=150)
HALF_MEBIBYTE = 512 * 1024
EACH = 12_000


def lists(sizes: list[int]) -> list[Model]:
    """Make models whose addresses are so long."""
    return [
        Model(f"m{number}", "s3://" + "x" * size, "sklearn", "1Mi")
        for number, size in enumerate(sizes)
    ]


def many(count: int) -> list[Model]:
    return lists([EACH] * count)


def places(models: list[Model], count: int) -> dict[str, int]:
    return {model.name: shards.place(model.name, count) for model in models}


@given(LISTS, st.integers(1, 9))
def test_every_model_is_in_exactly_one_shard(sizes: list[int], live: int) -> None:
    models = lists(sizes)
    made = [modelconfig.decode_shard(data) for data in shards.spread(models, live)]
    assert Counter(model for shard in made for model in shard.models) == Counter(models)
    assert {shard.count for shard in made} == {len(made)}


@given(LISTS, st.integers(1, 9))
def test_no_shard_is_overfull_whatever_the_sizes(sizes: list[int], live: int) -> None:
    for data in shards.spread(lists(sizes), live):
        assert len(json.dumps(data)) <= shards.FULL + 64


@given(LISTS, st.integers(1, 9))
def test_the_same_models_stay_as_they_are(sizes: list[int], live: int) -> None:
    models = lists(sizes)
    once = shards.spread(models, live)
    assert shards.spread(reversed(models), len(once)) == once


@given(st.text(), st.integers(1, 60))
def test_one_more_shard_only_takes(name: str, count: int) -> None:
    before, after = shards.place(name, count), shards.place(name, count + 1)
    assert after in (before, count)
    assert 0 <= before < count


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_one_more_shard_takes_its_share(count: int) -> None:
    models = [Model(f"m{number}", "", "", "") for number in range(5000)]
    before, after = places(models, count), places(models, count + 1)
    moved = sum(before[name] != after[name] for name in before)
    assert moved == pytest.approx(5000 / (count + 1), rel=0.2)


def test_places_are_for_ever() -> None:
    """Agents take shards of different age together, so another hash would lose models."""
    assert [shards.place(f"model-{number}", 7) for number in range(10)] == PLACES


PLACES = [2, 5, 0, 3, 6, 2, 3, 3, 6, 1]


def test_a_change_touches_one_shard() -> None:
    models = many(100)
    before = shards.spread(models)
    changed = [*models[1:], Model("m0", "s3://other", "sklearn", "1Mi")]
    after = shards.spread(changed, len(before))
    assert len(before) > 4
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_one_shard_has_upstreams_bytes() -> None:
    models = many(20)
    assert shards.spread(models) == [modelconfig.encode(models)]


def test_a_list_around_a_border_stays_as_it_is() -> None:
    border = next(count for count in range(100) if len(shards.spread(many(count))) > 1)
    live, seen = 1, []
    for count in [border - 1, border] * 5:
        live = len(shards.spread(many(count), live))
        seen.append(live)
    assert seen == [1] + [2] * 9


def test_a_list_that_shrinks_ends_in_one() -> None:
    live = 9
    for count in range(100, 0, -1):
        live = len(shards.spread(many(count), live))
    assert live == 1


def test_the_biggest_models_are_spread_over_not_many_more_than_they_need() -> None:
    models = lists([LARGEST_MODEL - 120] * 300)
    least = 300 * LARGEST_MODEL / shards.FULL
    assert len(shards.spread(models)) < 3 * least


def test_twenty_thousand_ordinary_models() -> None:
    models = [
        Model(f"model-{number}", f"s3://models/experiment/model-{number}", "sklearn", "256Mi")
        for number in range(20_000)
    ]
    made = shards.spread(models)
    assert len(made) < 20
    assert max(len(json.dumps(data)) for data in made) < HALF_MEBIBYTE


@pytest.mark.parametrize(
    ("live", "order", "named"),
    [
        pytest.param(1, [2, 1, 0], 4, id="grown: the first is written last"),
        pytest.param(3, [0, 1, 2], 4, id="as before"),
        pytest.param(7, [0, 1, 2], 8, id="shrunk: the first is written first"),
    ],
)
def test_the_order_of_writing_and_what_agents_may_read(
    live: int, order: list[int], named: int
) -> None:
    wanted = builders.wanted(live_shards=live, is_host=True)
    made = configmaps.make(wanted, [modelconfig.join([], 3)] * 3)
    prefix = "modelconfig-custom-model-mms-"
    assert [body["metadata"]["name"] for body in made] == [f"{prefix}{shard}" for shard in order]
    role = roles.make(wanted, 3)["rules"][0]
    assert role["resourceNames"] == [f"{prefix}{shard}" for shard in range(named)]
