"""The soak as a command: `make soak SECONDS=… SEED=… MODELS=…`, on the cluster of KUBECONFIG."""

import argparse
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from cluster import home
from soak import plans, runs
from soak.hands import Cluster
from support.spaces import Space
from support.terminals import Terminal

_NAMESPACE = "soak"
_KEYS = {"AWS_ACCESS_KEY_ID": "shoal-access", "AWS_SECRET_ACCESS_KEY": "shoal-secret-key"}
_STARTED = time.monotonic()


class Journal:
    """Tells the person who waits, and keeps every action with its time in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")

    def say(self, text: str) -> None:
        """Tell, and keep."""
        sys.stdout.write(f"[{time.monotonic() - _STARTED:6.1f}s] {text}\n")
        sys.stdout.flush()
        self.note(text)

    def note(self, text: str) -> None:
        """Keep."""
        with self.file.open("a") as file:
            file.write(f"{text}\n")


def main() -> int:
    """Run it; the exit code is 1 where anything was said or left that is not so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between actions")
    chosen = parser.parse_args()
    plan = plans.make(chosen.seed, chosen.seconds, chosen.models, chosen.pause)
    journal = Journal(home.home() / "soak" / f"{plan.seed}.log")
    journal.say(f"seed {plan.seed}: {len(plan.actions)} actions in {chosen.seconds:.0f} s")
    search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    terminal = Terminal({**os.environ, "PATH": search, **_KEYS})
    terminal.run(f"kubectl delete namespace {_NAMESPACE} --ignore-not-found", seconds=120)
    terminal.run("python tests/cluster/s3.py", seconds=300)
    terminal.run(f"kubectl create namespace {_NAMESPACE}")
    with tempfile.TemporaryDirectory() as folder:
        space = Space(terminal, _NAMESPACE, Path(folder), Path(folder))
        space.make_credentials()
        outcome = runs.run(Cluster.of(space), plan, journal)
    for line in outcome.lines():
        journal.say(line)
    journal.say(f"every action with its time is in {journal.file}")
    if outcome.is_well:
        terminal.run(f"kubectl delete namespace {_NAMESPACE} --wait=false")
    return 0 if outcome.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
