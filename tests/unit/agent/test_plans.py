from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.agent import plans
from shoal.agent.plans import Held, Record, Step, Version
from shoal.modelconfig import Model

A = Model("m", "s3://b/a", "sklearn", "1Gi")
B = Model("m", "s3://b/b", "sklearn", "1Gi")
VA, VB = Version(A.digest, "tree-a"), Version(B.digest, "tree-b")
BOTH = frozenset({"tree-a", "tree-b"})
SERVED = Held("tree-a", Record(VA), frozenset({"tree-a"}), ready=True)


@pytest.mark.parametrize(
    ("wanted", "held", "step"),
    [
        pytest.param(A, Held(), Step.FETCH, id="new: fetch"),
        pytest.param(A, SERVED, Step.KEEP, id="unchanged: keep"),
        pytest.param(A, replace(SERVED, ready=None), Step.WAIT, id="server down: wait"),
        pytest.param(A, replace(SERVED, ready=False), Step.LOAD, id="lost by the server: load"),
        pytest.param(
            A,
            replace(SERVED, record=Record(VA, sure=False)),
            Step.LOAD,
            id="killed during a load: load",
        ),
        pytest.param(
            A,
            replace(SERVED, link="tree-b", trees=BOTH),
            Step.LOAD,
            id="killed after the flip, then reverted: load",
        ),
        pytest.param(A, replace(SERVED, link=""), Step.LOAD, id="link is gone: load"),
        pytest.param(B, SERVED, Step.FETCH, id="changed: fetch"),
        pytest.param(B, replace(SERVED, ready=None), Step.FETCH, id="changed, server down: fetch"),
        pytest.param(
            A,
            Held("tree-b", Record(VB, VA), BOTH, ready=True),
            Step.FETCH,
            id="reverted: fetch",
        ),
        pytest.param(A, replace(SERVED, trees=frozenset()), Step.FETCH, id="empty: fetch"),
        pytest.param(A, Held(link="tree-a"), Step.FETCH, id="no note: fetch"),
        pytest.param(None, SERVED, Step.UNLOAD, id="gone: unload"),
        pytest.param(None, Held(record=Record(VA)), Step.UNLOAD, id="half removed: unload"),
        pytest.param(None, Held(link="tree-x"), Step.UNLOAD, id="present but unknown: unload"),
        pytest.param(None, Held(), Step.KEEP, id="nothing: keep"),
    ],
)
def test_the_next_step(wanted: Model | None, held: Held, step: Step) -> None:
    assert plans.make(wanted, held) is step


@pytest.mark.parametrize(
    ("held", "tree"),
    [
        pytest.param(Held(), "", id="nothing held"),
        pytest.param(Held("tree-b", Record(VB, VA), BOTH), "tree-a", id="the one before"),
        pytest.param(
            Held("tree-b", Record(VB, VA), frozenset({"tree-b"})), "", id="its bytes are gone"
        ),
        pytest.param(Held("tree-a", Record(VA)), "", id="loaded, but its bytes are gone"),
        pytest.param(SERVED, "tree-a", id="the loaded one"),
    ],
)
def test_held_bytes_when_the_store_cannot_be_asked(held: Held, tree: str) -> None:
    assert plans.fallback(A, held) == tree


VERSIONS = st.sampled_from([VA, VB, Version("other", "tree-c"), Version(A.digest, "tree-b")])
RECORDS = st.none() | st.builds(Record, st.none() | VERSIONS, st.none() | VERSIONS, st.booleans())
TREES = st.sampled_from(["tree-a", "tree-b", "tree-c"])
HELD = st.builds(
    Held,
    link=TREES | st.just(""),
    record=RECORDS,
    trees=st.frozensets(TREES),
    ready=st.none() | st.booleans(),
)


def applied(step: Step, wanted: Model | None, held: Held) -> Held:
    """What a step leaves behind when all goes well."""
    if step is Step.UNLOAD:
        return Held(trees=held.trees, ready=False)
    if step is Step.WAIT:
        return replace(held, ready=False)
    assert wanted is not None
    loaded = held.record.loaded if held.record else None
    tree = loaded.tree if step is Step.LOAD and loaded else "tree-new"
    record = Record(Version(wanted.digest, tree), loaded)
    return Held(tree, record, held.trees | {tree}, ready=True)


@given(st.sampled_from([A, B, None]), HELD)
def test_steps_lead_to_what_is_wanted_from_anywhere(wanted: Model | None, held: Held) -> None:
    for _ in range(4):
        step = plans.make(wanted, held)
        if step is Step.KEEP:
            break
        held = applied(step, wanted, held)
    assert plans.make(wanted, held) is Step.KEEP
    if wanted is None:
        assert not held.link
        assert not held.record
    else:
        assert plans.serves(held)
        assert held.record
        assert held.record.loaded
        assert held.record.loaded.digest == wanted.digest
