"""Where things are kept outside the checkout; ``SHOAL_HOME`` moves all of it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import progress

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent


def home() -> Path:
    """Return the folder of caches and state: SHOAL_HOME, else ``~/.cache/shoal``."""
    return Path(os.environ.get("SHOAL_HOME") or Path.home() / ".cache" / "shoal").resolve()


def binaries() -> Path:
    """Return the flat folder of links to every program that was built."""
    return home() / "bin"


def builds() -> Path:
    """Return the folder of builds, by name and by hash of what they were built from."""
    return home() / "build"


def cluster() -> Path:
    """Return the folder of the running cluster's state; ``down.py`` removes it."""
    return home() / "cluster"


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Let one process at a time do this, on the whole machine; others wait, and say so."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / f"{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"another process has the lock {name}; waiting for it …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
