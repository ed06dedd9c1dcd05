"""What a failure is, and when the next try comes. Pure: chance is an argument.

Callers: workers, deliveries, commands.
"""

from shoal.agent.errors import ServerRefusedError
from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind

_BASE_AND_CAP = {
    Kind.TRANSIENT: (0.5, 15.0),
    Kind.UNKNOWN: (2.0, 30.0),
    Kind.PERMANENT: (5.0, 30.0),
}
_PATIENT_AFTER = 3
_OFFER_EVERY = 10


def delay(kind: Kind, attempt: int, draw: float) -> float:
    """Seconds before the try after failed try `attempt` (from 1): full jitter above a floor.

    `draw` is a random number of [0, 1).
    """
    base, cap = _BASE_AND_CAP[kind]
    # A large exponent would overflow a float long after the cap is reached.
    ceiling = min(cap, base * 2.0 ** min(attempt - 1, 16))
    return max(base / 2, draw * ceiling)


def may_offer(attempt: int) -> bool:
    """Tell whether refused bytes are offered again while an old version answers.

    Rarely, after some tries: some servers drop the old model when a load fails.
    """
    return attempt < _PATIENT_AFTER or attempt % _OFFER_EVERY == 0


def failure(error: Exception) -> FetchError:
    """Say of any error what it means for the model."""
    if isinstance(error, FetchError):
        return error
    if isinstance(error, ServerRefusedError):
        return FetchError(Kind.UNKNOWN, Reason.MODEL_LOAD_FAILED, error.message)
    if isinstance(error, FileExistsError):
        return FetchError(Kind.PERMANENT, Reason.DOWNLOAD_FAILED, str(error))
    message = f"{type(error).__name__}: {error}"
    return FetchError(Kind.UNKNOWN, Reason.DOWNLOAD_FAILED, message)
