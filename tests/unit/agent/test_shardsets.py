"""Contents of shards in, the whole list out, or why there is none."""

from collections.abc import Iterable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import modelconfig, names
from shoal.agent.shardsets import ShardSet
from shoal.desired import shards
from shoal.modelconfig import Model

ALL = 60


def models(numbers: Iterable[int]) -> list[Model]:
    return [Model(f"m{number}", "s3://b/m", "sklearn", "1Mi") for number in numbers]


def spread(numbers: Iterable[int], count: int) -> list[dict[str, str]]:
    """Spread as the operator does, over as many shards as told."""
    rows: list[list[str]] = [[] for _ in range(count)]
    for model in sorted(models(numbers), key=lambda model: model.name):
        rows[shards.place(model.name, count)].append(modelconfig.row(model))
    return [modelconfig.join(shard, count) for shard in rows]


def put(shard_set: ShardSet, index: int, data: dict[str, str]) -> None:
    shard_set.put(index, modelconfig.decode_shard(data))


def filled(contents: dict[int, dict[str, str]]) -> ShardSet:
    made = ShardSet(partial(names.model_config, "svc"))
    for index, data in contents.items():
        put(made, index, data)
    return made


def names_in(shard_set: ShardSet) -> set[str] | None:
    whole = shard_set.whole()
    return {model.name for model in whole.models} if whole else None


ONE, TWO, THREE = spread(range(9), 1), spread(range(9), 2), spread(range(9), 3)
EVERY = {f"m{number}" for number in range(9)}


@pytest.mark.parametrize(
    ("contents", "lack", "followed"),
    [
        pytest.param({}, "modelconfig-svc-0 is not read", 1, id="nothing"),
        pytest.param({0: ONE[0]}, "", 1, id="one of one"),
        pytest.param({0: TWO[0]}, "modelconfig-svc-1, one of 2, is not read", 2, id="one of two"),
        pytest.param({0: TWO[0], 1: TWO[1]}, "", 2, id="two of two"),
        pytest.param({0: ONE[0], 1: TWO[1]}, "", 2, id="one of one, and a leftover"),
        pytest.param({1: TWO[1]}, "modelconfig-svc-0 is not read", 2, id="the first is missing"),
        pytest.param(
            {0: THREE[0], 2: THREE[2]},
            "modelconfig-svc-1, one of 3, is not read",
            3,
            id="one between is missing",
        ),
        pytest.param(
            {0: TWO[0], 1: THREE[1], 2: THREE[2]},
            "modelconfig-svc-0 says that there are 2 of it, modelconfig-svc-1 says 3",
            3,
            id="growing or shrinking",
        ),
        pytest.param({0: TWO[0], 1: TWO[1], 2: THREE[2]}, "", 3, id="shrunk, the last not gone"),
    ],
)
def test_what_is_whole(contents: dict[int, dict[str, str]], lack: str, followed: int) -> None:
    made = filled(contents)
    assert made.lack() == lack
    assert made.count == followed
    assert names_in(made) == (None if lack else EVERY)


def test_a_shard_that_is_gone_lacks() -> None:
    made = filled(dict(enumerate(TWO)))
    made.drop(1)
    assert made.whole() is None
    made.drop(1)
    put(made, 1, TWO[1])
    assert names_in(made) == EVERY


def test_the_digest_is_of_all_in_order_and_of_one_alone_upstreams() -> None:
    whole = filled({0: ONE[0]}).whole()
    assert whole
    assert whole.digest == modelconfig.digest(modelconfig.encode(models(range(9))))
    digests = set()
    for contents in (TWO, spread(range(10), 2), spread([], 2), THREE):
        made = filled(dict(enumerate(contents))).whole()
        assert made
        digests.add(made.digest)
    assert len(digests) == 4


@given(
    st.integers(1, 5),
    st.lists(st.sets(st.integers(0, ALL)), min_size=2, max_size=2),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_shards_of_different_age_lose_nothing_that_is_in_both_lists(
    count: int, lists: list[set[int]], newer: list[bool]
) -> None:
    old, new = (spread(numbers, count) for numbers in lists)
    made = filled({index: (new if newer[index] else old)[index] for index in range(count)})
    both = {f"m{number}" for number in lists[0] & lists[1]}
    any_ = {f"m{number}" for number in lists[0] | lists[1]}
    found = names_in(made)
    assert found is not None
    assert both <= found <= any_


@given(st.integers(1, 6), st.integers(1, 6), st.sets(st.integers(0, ALL)), st.data())
def test_at_no_line_of_a_change_of_number_is_a_model_lost(
    before: int, after: int, numbers: set[int], data: st.DataObject
) -> None:
    """Shards are read one by one, in any order, while the operator writes them in its own."""
    every = {f"m{number}" for number in numbers}
    there = dict(enumerate(spread(numbers, before)))
    written = spread(numbers, after)
    order = range(after) if after < before else reversed(range(after))
    made = filled(there)
    for index in order:
        there[index] = written[index]
        for seen in data.draw(st.permutations(range(max(before, after)))):
            if seen in there:
                put(made, seen, there[seen])
            assert names_in(made) in (None, every)
    assert names_in(made) == every
