"""Content that was downloaded and cannot be used: not downloaded again at every try.

A wrong digest or a dangerous archive stays what it is while its address has the same content,
and gigabytes every half minute would help nobody. Now and then it is fetched all the same: the
bytes may have been damaged on the way. Forgotten with the process, which costs one download.
Caller: fetches.
"""

from collections.abc import Callable

from shoal.reasons import Reason
from shoal.storage.failures import FetchError

_KEPT_SECONDS = 600.0
_MOST = 1000
_REASONS = {Reason.DIGEST_MISMATCH, Reason.INVALID_ARTIFACT}


class Rejections:
    """The last refusal of each content, by its fingerprint."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, FetchError]] = {}

    def check(self, fingerprint: str) -> None:
        """Look whether this content was refused lately.

        Raises:
            FetchError: it was, and why.
        """
        at, error = self._known.get(fingerprint, (float("-inf"), None))
        if error is not None and self._clock() - at < _KEPT_SECONDS:
            raise FetchError(error.kind, error.reason, error.message)

    def note(self, fingerprint: str, error: FetchError) -> None:
        """Take note of a failed download."""
        if not fingerprint or error.reason not in _REASONS:
            return
        self._known.pop(fingerprint, None)
        self._known[fingerprint] = (self._clock(), error)
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
