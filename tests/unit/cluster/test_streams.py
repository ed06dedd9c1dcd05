"""The age of a watch stream's last sign of life."""

from dataclasses import dataclass

from shoal.cluster.streams import Streams


@dataclass
class Content:
    total_bytes: int = 0


def test_a_silent_stream_grows_old() -> None:
    streams = Streams()
    streams.opened("pods", Content(), 100.0)
    assert streams.ages(130.0) == {"pods": 30.0}
    assert streams.ages(170.0) == {"pods": 70.0}


def test_bytes_are_a_sign_of_life() -> None:
    streams, content = Streams(), Content()
    streams.opened("pods", content, 100.0)
    content.total_bytes += 10
    assert streams.ages(130.0) == {"pods": 0.0}
    assert streams.ages(140.0) == {"pods": 10.0}


def test_a_reopened_stream_is_young() -> None:
    streams = Streams()
    streams.opened("pods", Content(), 100.0)
    streams.opened("pods", Content(5), 200.0)
    assert streams.ages(201.0) == {"pods": 1.0}


def test_a_kind_that_was_never_watched_is_missing() -> None:
    streams = Streams()
    streams.opened("pods", Content(), 100.0)
    assert streams.missing(["pods", "services", "roles"]) == ["roles", "services"]


def test_a_stream_that_lasted_is_reopened_at_once() -> None:
    streams = Streams()
    assert streams.pause("pods", 100.0) == 0
    streams.opened("pods", Content(), 100.0)
    assert streams.pause("pods", 102.0) == 0


def test_streams_that_end_as_soon_as_they_are_open_come_slower_and_slower() -> None:
    streams, now, pauses = Streams(), 100.0, []
    for _ in range(9):
        streams.opened("pods", Content(), now)
        pauses.append(streams.pause("pods", now))
        now += pauses[-1]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    streams.opened("pods", Content(), now)
    assert streams.pause("pods", now + 60) == 0
    streams.opened("pods", Content(), now + 60)
    assert streams.pause("pods", now + 60) == 0.1


def test_a_list_before_the_first_watch_is_no_gap() -> None:
    streams = Streams()
    streams.listed("pods")
    streams.opened("pods", Content(), 100.0)
    assert not streams.gap.is_set()


def test_a_watch_that_begins_with_another_list_had_a_gap() -> None:
    streams = Streams()
    streams.opened("pods", Content(), 100.0)
    streams.opened("pods", Content(), 200.0)
    assert not streams.gap.is_set()
    streams.listed("pods")
    assert not streams.gap.is_set(), "what is deleted until the watch begins is in no list yet"
    streams.opened("pods", Content(), 300.0)
    assert streams.gap.is_set()
