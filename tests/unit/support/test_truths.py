import json

import pytest

from support import truths
from support.traffic import Answer
from support.truths import Place, Record, Sample, Stall, Word

OLD, NEW, RUBBISH = "s3://old", "s3://new", "s3://rubbish"
VALUES = {OLD: 1.0, NEW: 2.0}
UP = [Place(0, "10.0.0.1")]


def _answer(asked: float, at: float, value: float | None) -> Answer:
    if value is None:
        return Answer(asked, at, 0, "refused")
    return Answer(asked, at, 200, json.dumps({"outputs": [{"data": [value]}]}))


def _lies(words: list[Word], answer: Answer, places: list[Place] = UP) -> list[str]:
    record = Record({"m": words}, {"pod": places}, [Sample("pod", "m", answer)])
    return truths.lies(record, VALUES, now=20)


TRUE = Word(1, "True", OLD)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        pytest.param([TRUE], _answer(5, 5.1, None), id="a-failure-while-ready"),
        pytest.param([TRUE], _answer(5, 8, None), id="no-answer-in-time"),
        pytest.param([TRUE], _answer(5, 5.1, 2.0), id="another-models-answer"),
        pytest.param([TRUE, Word(7, "False", OLD)], _answer(5, 5.1, None), id="told-too-late"),
        pytest.param(
            [TRUE, Word(4, "False", OLD), Word(4.9, "True", OLD)],
            _answer(5, 5.1, None),
            id="called-ready-too-early",
        ),
        pytest.param(
            [TRUE, Word(3, "True", NEW)], _answer(5, 5.1, 1.0), id="the-old-bytes-for-too-long"
        ),
        pytest.param(
            [TRUE, Word(3, "True", RUBBISH)], _answer(5, 5.1, 1.0), id="rubbish-called-ready"
        ),
    ],
)
def test_it_is_a_lie(words: list[Word], answer: Answer) -> None:
    assert len(_lies(words, answer)) == 1


def test_a_lie_tells_what_was_said_and_answered() -> None:
    words = [TRUE, Word(3, "True", NEW)]
    told = f"Ready was True of {NEW} at 3.00"
    (lie,) = _lies(words, _answer(5, 5.1, 1.0))
    assert lie == f"m on pod: 200 1.0 after 0.10 s, asked at 5.00; {told}"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        pytest.param([TRUE], _answer(5, 5.1, 1.0), id="the-wanted-answer"),
        pytest.param([Word(1, "Unknown", OLD)], _answer(5, 5.1, None), id="nothing-is-claimed"),
        pytest.param([TRUE, Word(3, "", OLD)], _answer(5, 5.1, None), id="nobody-can-read"),
        pytest.param([TRUE, Word(5.6, "False", OLD)], _answer(5, 5.1, None), id="told-at-once"),
        pytest.param([TRUE, Word(4.8, "True", NEW)], _answer(5, 5.1, 1.0), id="nobody-knows-yet"),
        pytest.param([TRUE, Word(4.8, "True", NEW)], _answer(5, 5.1, 2.0), id="quicker-than-told"),
        pytest.param([TRUE, Word(4.8, "True", RUBBISH)], _answer(5, 5.1, 1.0), id="not-yet-tried"),
        pytest.param([], _answer(5, 5.1, None), id="never-heard-of"),
    ],
)
def test_it_is_no_lie(words: list[Word], answer: Answer) -> None:
    assert _lies(words, answer) == []


@pytest.mark.parametrize(
    "places",
    [
        pytest.param([Place(0, "10.0.0.1"), Place(5.05), Place(5.8, "10.0.0.1")], id="not-ready"),
        pytest.param([Place(0, "10.0.0.1"), Place(5.05, "10.0.0.2")], id="moved"),
    ],
)
def test_a_pod_that_is_not_ready_all_along_does_not_count(places: list[Place]) -> None:
    assert _lies([TRUE], _answer(5, 5.1, None), places) == []


def test_ready_without_a_ready_pod_is_a_lie() -> None:
    record = Record({"m": [TRUE]}, {"a": [Place(0, "x"), Place(5)], "b": [Place(7, "y")]})
    assert truths.lies(record, VALUES, now=20) == ["m: Ready True at 5.00 without a ready pod"]


def test_a_gap_that_is_told_in_time_is_none() -> None:
    said = [TRUE, Word(5.5, "False", OLD), Word(8, "True", OLD)]
    record = Record({"m": said}, {"a": [Place(0, "x"), Place(5)], "b": [Place(7, "y")]})
    assert truths.lies(record, VALUES, now=20) == []


def test_many_models_are_given_the_time_that_their_writes_take() -> None:
    record = Record({f"m{n}": [] for n in range(1500)})
    assert truths.bound(record, 0, 0) == pytest.approx(11)


def test_words_that_repeat_the_last_are_not_kept() -> None:
    record = Record()
    for at, ready in enumerate(("False", "False", "True")):
        record.say("m", Word(at, ready, OLD))
    record.say("m", Word(5, "True", NEW))
    assert record.readiness("m") == ["False", "True"]


def test_a_lane_leaves_a_pod_that_ends_and_asks_the_next() -> None:
    record = Record(
        {name: [TRUE] for name in "abcd"}, {"one": [*UP], "two": [Place(0, "10.0.0.2")]}
    )
    asked = record.questions(0, 2)
    assert next(asked) == ("one", "10.0.0.1", "a")
    record.place("one", Place(2))
    assert list(asked) == [("two", "10.0.0.2", "a"), ("two", "10.0.0.2", "c")]


@pytest.mark.parametrize(
    ("stalls", "found"),
    [([], 1), ([Stall(6.5, 1)], 0), ([Stall(6.5, 0.5)], 1), ([Stall(19, 9), Stall(3, 2)], 1)],
    ids=["never", "meanwhile", "for-a-moment", "at-another-time"],
)
def test_a_word_may_be_late_where_the_machine_stood_still(stalls: list[Stall], found: int) -> None:
    words = [TRUE, Word(7, "False", OLD)]
    record = Record({"m": words}, {"pod": UP}, [Sample("pod", "m", _answer(5, 5.1, None))])
    record.stalls = stalls
    assert len(truths.lies(record, VALUES, now=20)) == found


@pytest.mark.parametrize(
    ("left", "value", "found"),
    [(5.6, None, 0), (8, None, 1), (5.6, 2.0, 1)],
    ids=["soon", "late", "with-other-bytes"],
)
def test_a_pod_that_failed_and_is_asked_no_more_was_told_of(
    left: float, value: float | None, found: int
) -> None:
    others = [Place(0, "10.0.0.2")]
    answer = _answer(5, 5.1, value)
    places = {"pod": [*UP, Place(left)], "other": others}
    record = Record({"m": [TRUE]}, places, [Sample("pod", "m", answer)])
    assert len(truths.lies(record, VALUES, now=20)) == found


def test_a_pod_that_leaves_is_asked_where_no_other_is_ready() -> None:
    record = Record({"m": [TRUE]}, {"pod": [*UP]}, leaving={"pod"})
    assert record.ready_pods() == {"pod": "10.0.0.1"}
    record.place("next", Place(3, "10.0.0.2"))
    assert record.ready_pods() == {"next": "10.0.0.2"}


@pytest.mark.parametrize("told", [[TRUE], [TRUE, Word(6.4, "False", OLD)]], ids=["never", "then"])
def test_a_pod_that_leaves_is_a_ready_one_until_it_does_not_answer(told: list[Word]) -> None:
    record = Record({"m": told}, {"pod": [*UP]}, leaving={"pod"})
    record.add(Sample("pod", "m", _answer(5, 5.1, 1.0)))
    assert record.ready_pods()
    record.add(Sample("pod", "m", _answer(6, 6.1, None)))
    record.place("pod", Place(6.2, "10.0.0.1"))
    assert not record.ready_pods(), "it does not come back"
    lies = ["m: Ready True at 6.00 without a ready pod"] if len(told) == 1 else []
    assert truths.lies(record, VALUES, now=20) == lies


def test_a_pod_that_leaves_may_answer_with_nothing_else() -> None:
    record = Record({"m": [TRUE]}, {"pod": [*UP]}, leaving={"pod"})
    record.add(Sample("pod", "m", _answer(5, 5.1, 2.0)))
    assert len(truths.lies(record, VALUES, now=20)) == 1
