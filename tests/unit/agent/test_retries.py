import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.agent import retries
from shoal.agent.errors import ServerRefusedError
from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind, status_kind


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


@pytest.mark.parametrize(
    ("error", "kind", "reason", "message"),
    [
        pytest.param(
            FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, "down"),
            *(Kind.TRANSIENT, "StorageUnavailable", "down"),
            id="a-download-says-it-itself",
        ),
        pytest.param(
            ServerRefusedError("no such layer"),
            *(Kind.UNKNOWN, "ModelLoadFailed", "no such layer"),
            id="the-servers-own-words",
        ),
        pytest.param(
            FileExistsError("x is in the way"),
            *(Kind.PERMANENT, "DownloadFailed", "x is in the way"),
            id="somebody-elses-file",
        ),
        pytest.param(
            OSError("odd"), *(Kind.UNKNOWN, "DownloadFailed", "OSError: odd"), id="anything-else"
        ),
    ],
)
def test_what_a_failure_is(error: Exception, kind: Kind, reason: str, message: str) -> None:
    found = retries.failure(error)
    assert (found.kind, found.reason, found.message) == (kind, reason, message)


def test_refused_bytes_are_offered_thrice_and_then_rarely() -> None:
    offered = [attempt for attempt in range(25) if retries.may_offer(attempt)]
    assert offered == [0, 1, 2, 10, 20]
