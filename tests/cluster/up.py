"""Have a cluster: ``eval "$(python3 tests/cluster/up.py)"``. Safe to run again at any time.

What is up is left alone, what has died is started again. Progress goes to stderr; the last lines
on stdout are shell exports, which are also written to ``$SHOAL_HOME/cluster/env``.
"""

import sys
from pathlib import Path

if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster import home, progress, providers
from cluster.controlplane import NotReadyError
from cluster.shell import CommandError


def main() -> int:
    """Bring the cluster up; return the exit code."""
    try:
        with home.lock("cluster"):
            values = providers.up(providers.choose())
            lines = progress.exports({**values, "SHOAL_BIN": str(home.binaries())})
            (home.cluster() / "env").write_text(lines)
    except (providers.NoClusterError, NotReadyError, CommandError) as error:
        progress.say(str(error))
        return 1
    progress.say("the cluster is up")
    progress.export(values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
