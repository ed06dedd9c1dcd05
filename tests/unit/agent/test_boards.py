from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shoal.agent.boards import Board
from shoal.modelstates import ModelState, State

START = datetime(2030, 1, 1, tzinfo=UTC)
LOADED = ModelState(State.LOADED, "d", "d", "Loaded", "", 0, "t0", "")
FAILED = ModelState(State.FAILED, "d", "", "ModelLoadFailed", "why", 1, "t0", "t1")
PENDING = ModelState(State.PENDING, "d", "", "Pending", "", 0, "t0", "")


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    made = Board(clock, first_set_seconds=30)
    made.is_server_up = True
    return made


@pytest.mark.parametrize(
    ("state", "lasting", "waited", "ready"),
    [
        pytest.param(LOADED, False, 0, True, id="loaded: ready"),
        pytest.param(PENDING, False, 99, False, id="pending: held back"),
        pytest.param(FAILED, False, 29, False, id="failed a moment ago: held back"),
        pytest.param(FAILED, False, 30, True, id="failing for long: ready"),
        pytest.param(FAILED, True, 0, True, id="failed for good: ready"),
        pytest.param(
            replace(FAILED, state=State.DOWNLOADING), False, 30, True, id="trying again: ready"
        ),
    ],
)
def test_readiness_waits_for_the_first_set(
    board: Board,
    clock: Clock,
    state: ModelState,
    lasting: bool,
    waited: int,
    ready: bool,
) -> None:
    board.set("m", state, lasting=lasting)
    board.set_config("c", ["m"])
    clock.time += timedelta(seconds=waited)
    assert board.is_ready() is ready


def test_without_a_list_nothing_is_ready(board: Board) -> None:
    assert not board.is_ready()


def test_later_models_do_not_take_readiness_away(board: Board) -> None:
    board.set_config("c", [])
    assert board.is_ready()
    board.set("m", PENDING)
    board.set_config("c2", ["m"])
    assert board.is_ready()


def test_lost_models_take_it_away_until_they_are_back(board: Board) -> None:
    board.set("m", LOADED)
    board.set_config("c", ["m"])
    board.set("m", PENDING)
    board.await_models(["m"])
    assert not board.is_ready()
    assert board.report().settled is False or board.is_settled() is False
    board.set("m", LOADED)
    assert board.is_ready()


def test_a_model_that_is_removed_is_not_waited_for(board: Board) -> None:
    board.set("m", PENDING)
    board.set_config("c", ["m"])
    board.remove("m")
    assert board.is_ready()


def test_the_cursor_moves_only_with_a_change(board: Board) -> None:
    board.set("m", LOADED)
    before = board.cursor
    board.set("m", replace(LOADED, since="t9"))
    assert board.cursor == before
    board.set("m", replace(LOADED, message="more", since="t9"))
    assert board.cursor != before
    state = board.get("m")
    assert state is not None
    assert state.since == "t0"


async def test_waiting_ends_with_a_change(board: Board) -> None:
    await board.wait("another", 60)
    board.set("m", LOADED)
    await board.wait(board.cursor, 0.0)


def test_a_reader_is_told_what_changed_since_its_cursor(board: Board) -> None:
    for name in ("stays", "goes", "changes"):
        board.set(name, LOADED)
    seen = board.cursor
    board.set("changes", FAILED)
    board.set("comes", PENDING)
    board.remove("goes")

    report = board.report(seen)

    assert (report.after, report.gone) == (seen, ("goes",))
    assert set(report.models) == {"changes", "comes"}
    assert report.models["changes"].state is State.FAILED


@pytest.mark.parametrize("cursor", ["", "0-0", "x", "-1", "{life}-99", "{life}-", "{life}--1"])
def test_a_reader_of_another_life_is_told_everything(board: Board, cursor: str) -> None:
    board.set("m", LOADED)
    life = board.cursor.partition("-")[0]

    report = board.report(cursor.format(life=life))

    assert (report.after, set(report.models)) == ("", {"m"})


def test_a_model_that_went_long_ago_makes_the_report_whole(board: Board) -> None:
    board.set("stays", LOADED)
    old = board.cursor
    for number in range(1100):
        board.set(f"m{number}", LOADED)
        recent = board.cursor
        board.remove(f"m{number}")

    assert board.report(old).after == ""
    assert board.report(recent).gone == ("m1099",)
    assert set(board.report(old).models) == {"stays"}
