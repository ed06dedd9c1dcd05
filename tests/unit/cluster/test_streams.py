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
