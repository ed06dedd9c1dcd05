"""The one place that writes to the terminal: progress to stderr, shell exports to stdout.

Every other module of this folder calls :func:`say` for what a person waits for and :func:`export`
for what a shell evaluates, so that ``eval "$(python3 up.py)"`` always works.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_STARTED = time.monotonic()


def say(text: str) -> None:
    """Tell the person who waits what happens, with the seconds since this program started."""
    sys.stderr.write(f"[{time.monotonic() - _STARTED:6.1f}s] {text}\n")
    sys.stderr.flush()


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a step, and say how long it took when it took long enough to be noticed."""
    say(f"{text} …")
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    if took >= 1:
        say(f"{text}: done in {took:.1f} s")


def export(values: dict[str, str]) -> None:
    """Write shell exports to stdout, one a line."""
    sys.stdout.write(exports(values))
    sys.stdout.flush()


def exports(values: dict[str, str]) -> str:
    """Return the lines that a shell evaluates to get these variables."""
    return "".join(f"export {name}={value}\n" for name, value in values.items())


def result(text: str) -> None:
    """Write one line of a program's answer to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
