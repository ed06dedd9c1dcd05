"""Types commands into a shell, as a user of the cluster does, and reads what they say."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
_STEP_SECONDS = 0.2
T = TypeVar("T")
Body = dict[str, Any]


@dataclass(frozen=True)
class Terminal:
    """A shell in the checkout, with the environment that a user was told to export."""

    environ: Mapping[str, str]

    def attempt(
        self, command: str, *, stdin: str = "", seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Type a command that may fail."""
        return subprocess.run(  # noqa: S603 - commands are the tests' own
            ["/bin/bash", "-o", "pipefail", "-c", command],
            cwd=CHECKOUT,
            env=dict(self.environ),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def run(self, command: str, *, stdin: str = "", seconds: float = 60) -> str:
        """Type a command that must not fail; return what it said."""
        done = self.attempt(command, stdin=stdin, seconds=seconds)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def follow(self, command: str, take: Callable[[str], object]) -> Iterator[None]:
        """Type a command that goes on until the end of the block; `take` is given its lines."""
        with subprocess.Popen(  # noqa: S603 - as above
            ["/bin/bash", "-c", f"exec {command}"],
            cwd=CHECKOUT,
            env=dict(self.environ),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            reader = threading.Thread(target=_collect, args=(process.stdout, take), daemon=True)
            reader.start()
            try:
                yield
            finally:
                process.terminate()
                reader.join(10)

    def get(self, what: str) -> Body:
        """Read `kubectl get` as JSON."""
        found: Body = json.loads(self.run(f"kubectl get {what} -o json"))
        return found

    def rows(self, command: str) -> list[dict[str, str]]:
        """Read a table that `kubectl get` prints, one dict a row; an empty cell is ''.

        Columns are cut where the header's words begin, as the eye does.
        """
        header, *lines = self.run(command).splitlines()
        starts = [
            at for at, c in enumerate(header) if c != " " and (at == 0 or header[at - 1] == " ")
        ]
        ends = [*starts[1:], None]
        cuts = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        return [{header[cut].strip(): line[cut].strip() for cut in cuts} for line in lines]


def _collect(stream: Iterable[str], take: Callable[[str], object]) -> None:
    for line in stream:
        take(line.rstrip("\n"))


def until(ask: Callable[[], T], good: Callable[[T], object], seconds: float, what: str = "") -> T:
    """Ask again and again until the answer is good; fail with the last one when time is over."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if good(answer):
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}; last seen: {answer}")
        time.sleep(_STEP_SECONDS)


def condition(body: Body, kind: str) -> Body:
    """Find a condition of an object; an absent one is Unknown."""
    rows = (body.get("status") or {}).get("conditions") or []
    absent = {"type": kind, "status": "Unknown", "reason": "", "message": ""}
    return next((row for row in rows if row["type"] == kind), absent)
