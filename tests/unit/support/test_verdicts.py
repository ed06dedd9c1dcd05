"""What a soak calls a lie where nobody led: nothing was said in that time."""

import time

import pytest

from soak import verdicts
from support.traffic import Answer
from support.truths import Place, Record, Sample, Word

NOW = time.time()
URI = "s3://b/m"


def record(asked: float) -> Record:
    """Say Ready True all the time, and fail one request."""
    made = Record()
    made.say("m", Word(NOW - 100, "True", URI))
    made.place("p", Place(NOW - 100, "10.0.0.1"))
    made.samples.append(Sample("p", "m", Answer(NOW + asked, NOW + asked, 0, "refused")))
    return made


@pytest.mark.parametrize(
    ("asked", "gaps", "found"),
    [
        pytest.param(-50, [], (1, 0), id="somebody-led"),
        pytest.param(-50, [(-60, -40)], (0, 1), id="nobody-led"),
        pytest.param(-38.5, [(-60, -40)], (0, 1), id="a-leader-that-has-just-begun"),
        pytest.param(-33, [(-60, -40)], (1, 0), id="long-after"),
        pytest.param(-65, [(-60, -40)], (1, 0), id="long-before"),
        pytest.param(-30, [(-60, -40), (-40, -20)], (0, 1), id="two-gaps-that-touch"),
        pytest.param(-30, [(-60, -39), (-36, -20)], (0, 1), id="a-leader-that-hardly-led"),
    ],
)
def test_lies(asked: float, gaps: list[tuple[float, float]], found: tuple[int, int]) -> None:
    away = [(NOW + start, NOW + end) for start, end in gaps]
    lies, untold = verdicts.lies([record(asked)], {URI: 1.0}, away)
    assert (len(lies), untold) == found
