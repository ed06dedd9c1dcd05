"""Long-running programs of the cluster: started once, found again, stopped by their own pid.

A record beside each program's log holds its pid, the kernel's start time of that pid and a digest
of its command. A pid that was reused after a reboot or a crash is therefore never taken for ours,
and a program whose command has changed is restarted.
"""

import contextlib
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster import progress, shell

_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Program:
    """What to run, and where its record and log live.

    ``inputs`` are texts beside the command whose change calls for a restart (configuration files).
    """

    name: str
    argv: Sequence[str]
    folder: Path
    netns: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[str] = ()

    @property
    def record(self) -> Path:
        """Return the file that remembers the running process."""
        return self.folder / "run" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """Return the file that the program's output goes to."""
        return self.folder / "logs" / f"{self.name}.log"

    def command(self) -> list[str]:
        """Return the whole command, entering the network namespace where there is one.

        ``nsenter`` and not ``ip netns exec``: the latter remounts /sys, and kubelet then finds no
        cgroup mounts.
        """
        enter = ["nsenter", f"--net=/run/netns/{self.netns}"] if self.netns else []
        return [*enter, *self.argv]

    def digest(self) -> str:
        """Return a digest of everything that a running process was started with."""
        # Another namespace of the same name is another place.
        place = Path(f"/run/netns/{self.netns}").stat().st_ino if self.netns else 0
        environment = json.dumps(dict(self.env), sort_keys=True)
        parts = [*self.command(), environment, str(place), *self.inputs]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def ensure(program: Program) -> bool:
    """Start a program unless this very command runs already; say whether it was started."""
    pid = running(program.record)
    if pid and _read(program.record).get("digest") == program.digest():
        return False
    if pid:
        progress.say(f"{program.name} runs with other arguments; restarting it")
        stop(program.record)
    elif program.record.exists():
        progress.say(f"{program.name} has died; starting it again")
    pid = shell.spawn(program.command(), log=program.log, env=program.env)
    program.record.parent.mkdir(parents=True, exist_ok=True)
    entry = {"pid": pid, "started": _start_time(pid), "digest": program.digest()}
    program.record.write_text(json.dumps(entry))
    return True


def running(record: Path) -> int | None:
    """Return the pid of a recorded program while it lives, else None."""
    entry = _read(record)
    pid = entry.get("pid")
    if not isinstance(pid, int):
        return None
    started = _start_time(pid)
    return pid if started is not None and started == entry.get("started") else None


def stop(record: Path) -> bool:
    """End a recorded program, gently and then not; say whether there was one."""
    pid = running(record)
    if pid:
        _signal(pid, signal.SIGTERM)
        if not wait(lambda: running(record) is None, _STOP_SECONDS):
            _signal(pid, signal.SIGKILL)
            wait(lambda: running(record) is None, _STOP_SECONDS)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    record.unlink(missing_ok=True)
    return pid is not None


def wait(condition: Callable[[], bool], seconds: float, *, every: float = 0.1) -> bool:
    """Poll until a condition holds; say whether it did in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, for an error message."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _read(record: Path) -> dict[str, object]:
    try:
        entry = json.loads(record.read_text())
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _start_time(pid: int) -> int | None:
    """Return the kernel's start time of a living process; None for a dead one or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may hold spaces: count the fields after it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
