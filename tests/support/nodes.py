"""What happens to a pod from below: its processes are stopped, its packets are dropped.

The cluster runs on this machine, so a pod's processes are found by its uid in their cgroup.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.terminals import Body

SERVER = "server.py"
AGENT = "shoal agent"
PAUSE = "/pause"


def pid(pod: Body, words: str) -> int:
    """Find the process of a pod whose command line has these words."""
    (found,) = (one for one in _processes(pod["metadata"]["uid"]) if words in _command(one))
    return found


def kill(pod: Body, words: str) -> None:
    """Kill a process of a pod, as a lack of memory does."""
    os.kill(pid(pod, words), signal.SIGKILL)


@contextlib.contextmanager
def stopped(pod: Body, words: str) -> Iterator[None]:
    """Let a process of a pod hang: it accepts connections and never answers."""
    process = pid(pod, words)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@contextlib.contextmanager
def dropped(pod: Body, *rule: str) -> Iterator[None]:
    """Drop packets in a pod's own network, as a NetworkPolicy does.

    The network plugin of this cluster does not enforce NetworkPolicies; one that does drops
    the same packets at the same place. `rule` is iptables', from the chain's name on.
    """
    chain, *match = rule
    enter = ["nsenter", f"--net=/proc/{pid(pod, PAUSE)}/ns/net", "iptables", "-w"]
    end = [chain, *match, "-j", "DROP"]
    subprocess.run([*enter, "-I", *end], check=True)  # noqa: S603 - ours
    try:
        yield
    finally:
        subprocess.run([*enter, "-D", *end], check=True)  # noqa: S603 - ours


def _processes(uid: str) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and f"/pod{uid}/" in (folder / "cgroup").read_text():
                yield int(folder.name)


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""
