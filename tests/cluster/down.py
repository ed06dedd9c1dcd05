"""Remove the cluster that ``up.py`` made: ``python3 tests/cluster/down.py``. Builds stay."""

import sys
from pathlib import Path

if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster import home, progress, providers


def main() -> int:
    """Take the cluster down; return the exit code."""
    with home.lock("cluster"):
        remembered = home.cluster() / "provider"
        if not remembered.exists():
            progress.say("there is no cluster")
            return 0
        with progress.step("taking the cluster down"):
            providers.down(remembered.read_text().strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
