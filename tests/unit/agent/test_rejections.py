import pytest

from shoal.agent.rejections import Rejections
from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind

WRONG = FetchError(Kind.PERMANENT, Reason.DIGEST_MISMATCH, "wrong")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_refused_is_refused_for_a_while() -> None:
    clock = Clock()
    rejections = Rejections(clock)
    rejections.note("content", WRONG)
    clock.now = 599
    with pytest.raises(FetchError, match="wrong") as caught:
        rejections.check("content")
    assert (caught.value.kind, caught.value.reason) == (WRONG.kind, WRONG.reason)
    rejections.check("other content")
    clock.now = 601
    rejections.check("content")


@pytest.mark.parametrize(
    ("fingerprint", "reason"),
    [
        pytest.param("", Reason.DIGEST_MISMATCH, id="content that cannot be told"),
        pytest.param("content", Reason.STORE_FULL, id="no fault of the content"),
        pytest.param("content", Reason.DOWNLOAD_FAILED, id="a broken connection"),
    ],
)
def test_other_failures_are_tried_again(fingerprint: str, reason: Reason) -> None:
    rejections = Rejections(Clock())
    rejections.note(fingerprint, FetchError(Kind.PERMANENT, reason, "x"))
    rejections.check(fingerprint)


def test_only_the_last_ones_are_known() -> None:
    rejections = Rejections(Clock())
    for number in range(1001):
        rejections.note(str(number), WRONG)
    rejections.check("0")
    with pytest.raises(FetchError):
        rejections.check("1")
