"""Running other programs: the only module of this folder that knows ``subprocess``.

Commands are argument lists, never shell text. A failing command raises :class:`CommandError`,
which carries the end of what the command said.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_TAIL = 4000
# A login shell of root may lack these, and iptables, ip and debootstrap live there.
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"


class CommandError(Exception):
    """A command ended with a code other than zero."""

    def __init__(self, argv: Sequence[str], code: int, said: str) -> None:
        super().__init__(f"{' '.join(argv)}: exit code {code}\n{said[-_TAIL:]}")
        self.code = code


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> str:
    """Run a command to its end and return its standard output.

    ``env`` is added to this process's environment. Raises CommandError.
    """
    done = subprocess.run(  # noqa: S603 - arguments come from this folder's code, not from users.
        list(argv),
        env=_environment(env),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(argv, done.returncode, done.stdout + done.stderr)
    return done.stdout


def which(program: str) -> str | None:
    """Return where a program is, else None."""
    return shutil.which(program, path=_environment()["PATH"])


def succeeds(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> bool:
    """Say whether a command exists and ends with zero."""
    try:
        run(argv, env=env)
    except (CommandError, OSError):
        return False
    return True


def spawn(argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> int:
    """Start a program in a session of its own, its output appended to ``log``; return its pid.

    It survives this process and its terminal.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        child = subprocess.Popen(  # noqa: S603 - as above.
            list(argv),
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # The child outlives this object on purpose; without this, Python warns about that.
    child.returncode = 0
    return child.pid


def _environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    path = f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM}"
    return {**os.environ, "PATH": path, **(more or {})}
