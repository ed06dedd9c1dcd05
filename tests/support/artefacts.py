"""Model files that misbehave while they are read: a joblib file is a program."""

import time
from typing import Any


class Hang:
    """It sleeps."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return time.sleep, (self.seconds,)
