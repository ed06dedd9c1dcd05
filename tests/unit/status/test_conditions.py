from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import reasons
from shoal.status import conditions
from shoal.status.conditions import FALSE, TRUE, UNKNOWN, Condition
from support import builders
from support.builders import NOW, Body

READY, PREDICTOR, INGRESS = (
    reasons.Condition.READY,
    reasons.Condition.PREDICTOR_READY,
    reasons.Condition.INGRESS_READY,
)
OLD_TIME = "2026-11-20T00:00:00Z"
NEW_TIME = "2026-11-21T12:00:00Z"

STATUSES = st.sampled_from([TRUE, FALSE, UNKNOWN])
CONDITIONS = st.lists(
    st.builds(
        Condition,
        st.sampled_from(list(reasons.Condition)),
        STATUSES,
        st.sampled_from(["", "A", "B"]),
        st.sampled_from(["", "m"]),
    ),
    unique_by=lambda one: one.type,
)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        pytest.param((TRUE, TRUE), (TRUE, ""), id="all-true"),
        pytest.param((FALSE, TRUE), (FALSE, "1"), id="first-false"),
        pytest.param((TRUE, FALSE), (FALSE, "2"), id="second-false"),
        pytest.param((FALSE, FALSE), (FALSE, "1"), id="of-equals-the-first"),
        pytest.param((UNKNOWN, TRUE), (UNKNOWN, "1"), id="unknown"),
        pytest.param((UNKNOWN, FALSE), (FALSE, "2"), id="false-outweighs-unknown"),
    ],
)
def test_ready(statuses: tuple[str, str], expected: tuple[str, str]) -> None:
    first, second = statuses
    dependents = [
        Condition(PREDICTOR, first, "1" if first != TRUE else ""),
        Condition(INGRESS, second, "2" if second != TRUE else ""),
    ]
    ready = conditions.ready(dependents)
    assert (ready.type, ready.status, ready.reason) == (READY, *expected)


def _merge(old: list[Body], new: list[Condition]) -> list[Body]:
    return conditions.merge(old, new, generation=3, now=NOW)


def test_a_condition_is_written_without_what_is_empty() -> None:
    assert _merge([], [Condition(READY, TRUE)]) == [
        {
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": NEW_TIME,
            "observedGeneration": 3,
        }
    ]


def test_a_condition_is_written_with_what_is_said() -> None:
    (made,) = _merge([], [Condition(READY, FALSE, reasons.Reason.STOPPED, "why", "Info")])
    assert (made["reason"], made["message"], made["severity"]) == ("Stopped", "why", "Info")
    assert type(made["reason"]) is str


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        pytest.param("True", "A", OLD_TIME, id="nothing-changed"),
        pytest.param("True", "B", OLD_TIME, id="only-the-reason-changed"),
        pytest.param("False", "A", NEW_TIME, id="the-status-changed"),
    ],
)
def test_the_time_moves_with_the_status(status: str, reason: str, expected: str) -> None:
    old = builders.condition("Ready", "True", "A") | {"lastTransitionTime": OLD_TIME}
    (made,) = _merge([old], [Condition(READY, status, reason)])
    assert made["lastTransitionTime"] == expected


def test_types_that_are_no_more_go() -> None:
    old = builders.condition("Obsolete", "True")
    assert [row["type"] for row in _merge([old], [Condition(READY, TRUE)])] == ["Ready"]


@given(CONDITIONS, CONDITIONS)
def test_merge_is_sorted_and_a_second_time_changes_nothing(
    old: list[Condition], new: list[Condition]
) -> None:
    once = _merge(_merge([], old), new)
    later = conditions.merge(once, new, generation=3, now=NOW + timedelta(days=1))
    assert later == once
    assert [row["type"] for row in once] == sorted(one.type.value for one in new)


@given(CONDITIONS)
def test_ready_is_true_only_when_all_are(dependents: list[Condition]) -> None:
    ready = conditions.ready(dependents)
    assert (ready.status == TRUE) == all(one.status == TRUE for one in dependents)


def test_find_takes_absent_for_unknown() -> None:
    row = builders.condition("Ready", "True")
    assert conditions.find({"conditions": [row]}, READY) == row
    assert conditions.find({"conditions": [row]}, PREDICTOR)["status"] == UNKNOWN
    assert conditions.find({}, READY)["status"] == UNKNOWN
