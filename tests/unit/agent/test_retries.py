import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.agent import retries
from shoal.storage.failures import Kind, status_kind


@pytest.mark.parametrize(
    ("kind", "attempt", "draw", "seconds"),
    [
        pytest.param(Kind.TRANSIENT, 1, 0.0, 0.25, id="floor"),
        pytest.param(Kind.TRANSIENT, 3, 0.5, 1.0, id="half of the ceiling"),
        pytest.param(Kind.TRANSIENT, 99, 1.0, 15.0, id="transient: cap"),
        pytest.param(Kind.UNKNOWN, 1, 0.0, 1.0, id="unknown: floor"),
        pytest.param(Kind.UNKNOWN, 99, 1.0, 30.0, id="unknown: cap"),
        pytest.param(Kind.PERMANENT, 1, 0.0, 2.5, id="permanent: floor"),
        pytest.param(Kind.PERMANENT, 9, 1.0, 30.0, id="permanent: cap"),
    ],
)
def test_delays(kind: Kind, attempt: int, draw: float, seconds: float) -> None:
    assert retries.delay(kind, attempt, draw) == seconds


@given(st.sampled_from(Kind), st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_nothing_and_never_long(kind: Kind, attempt: int, draw: float) -> None:
    assert 0.25 <= retries.delay(kind, attempt, draw) <= 30


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(408, Kind.TRANSIENT, id="timeout"),
        pytest.param(429, Kind.TRANSIENT, id="too many"),
        pytest.param(500, Kind.TRANSIENT, id="server error"),
        pytest.param(400, Kind.PERMANENT, id="bad request"),
        pytest.param(404, Kind.PERMANENT, id="not found"),
    ],
)
def test_kind_of_a_status(status: int, kind: Kind) -> None:
    assert status_kind(status) is kind
