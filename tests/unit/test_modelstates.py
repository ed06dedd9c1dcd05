import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import modelstates
from shoal.modelstates import ModelState, Report, State

STATES = st.builds(
    ModelState,
    state=st.sampled_from(State),
    wanted=st.text(),
    loaded=st.text(),
    reason=st.text(),
    message=st.text(),
    attempt=st.integers(),
    since=st.text(),
    next_try=st.text(),
)
REPORTS = st.builds(
    Report,
    cursor=st.text(min_size=1),
    settled=st.booleans(),
    config=st.text(),
    models=st.dictionaries(st.text(), STATES),
    after=st.just(""),
    gone=st.just(()),
)
WHOLE = {"cursor": "1", "settled": True, "config": "", "models": {}}


@given(REPORTS)
def test_what_is_encoded_decodes_to_the_same_report(report: Report) -> None:
    assert modelstates.decode(modelstates.encode(report)) == report


def test_keys_on_the_wire_are_camel_case() -> None:
    state = ModelState(State.FAILED, "w", "l", "StoreFull", "why", 3, "t0", "t1")
    body = json.loads(modelstates.encode(Report("7", False, "c", {"m": state})))  # noqa: FBT003 - a row
    assert body["models"]["m"] == {
        "state": "Failed",
        "wanted": "w",
        "loaded": "l",
        "reason": "StoreFull",
        "message": "why",
        "attempt": 3,
        "since": "t0",
        "nextTry": "t1",
    }


def test_unknown_keys_are_accepted() -> None:
    assert modelstates.decode(json.dumps(WHOLE | {"more": 1})).cursor == "1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("<html>", "Expecting value", id="no JSON"),
        pytest.param("[]", "report: must be an object", id="a list"),
        pytest.param(json.dumps(WHOLE | {"settled": "yes"}), "report.settled", id="settled"),
        pytest.param(json.dumps(WHOLE | {"models": {"m": 1}}), "models.m: must be", id="model"),
        pytest.param(
            json.dumps(WHOLE | {"models": {"m": {"state": "Odd"}}}), "'Odd' is not", id="state"
        ),
        pytest.param(
            json.dumps(WHOLE | {"models": {"m": {"state": "Loaded"}}}),
            "models.m.wanted: must be str",
            id="wanted",
        ),
    ],
)
def test_what_is_no_report_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        modelstates.decode(text)


@given(REPORTS, REPORTS)
def test_changes_put_together_with_what_is_held_are_the_whole(held: Report, now: Report) -> None:
    changed = {name: state for name, state in now.models.items() if held.models.get(name) != state}
    gone = tuple(held.models.keys() - now.models.keys())
    answer = replace(now, models=changed, after=held.cursor, gone=gone)

    assert modelstates.merge(held, modelstates.decode(modelstates.encode(answer))) == now


@given(REPORTS)
def test_a_whole_report_replaces_what_is_held(report: Report) -> None:
    assert modelstates.merge(None, report) is report


@pytest.mark.parametrize("held", [None, Report("6", True, "c", {})])  # noqa: FBT003 - a row
def test_changes_of_a_report_that_is_not_held_are_refused(held: Report | None) -> None:
    with pytest.raises(ValueError, match="not held"):
        modelstates.merge(held, Report("8", True, "c", {}, after="7"))  # noqa: FBT003 - a row
