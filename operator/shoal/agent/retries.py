"""How long to wait before the next try. Pure: chance is an argument."""

from shoal.storage.failures import Kind

_BASE_AND_CAP = {
    Kind.TRANSIENT: (0.5, 15.0),
    Kind.UNKNOWN: (2.0, 30.0),
    Kind.PERMANENT: (5.0, 30.0),
}


def delay(kind: Kind, attempt: int, draw: float) -> float:
    """Seconds before the try after failed try `attempt` (from 1): full jitter above a floor.

    `draw` is a random number of [0, 1).
    """
    base, cap = _BASE_AND_CAP[kind]
    # A large exponent would overflow a float long after the cap is reached.
    ceiling = min(cap, base * 2.0 ** min(attempt - 1, 16))
    return max(base / 2, draw * ceiling)
