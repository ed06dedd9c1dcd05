"""The node's containerd: its configuration, its images, and the end of all its containers."""

import contextlib
import os
import signal
from pathlib import Path

from cluster import archives, binaries, home, network, processes, progress, shell

# Sockets and mounts live here and not under the home, whose path may be too long for a socket.
RUNTIME = Path("/run/shoal")
SOCKET = RUNTIME / "containerd.sock"
PAUSE_TAG = "localhost/shoal-pause:1"
_READY_SECONDS = 30.0
_CONFIG = """\
version = 2
root = "{folder}/containerd"
state = "{runtime}/containerd"

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/containerd-opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
disable_apparmor = true
# Without CAP_SYS_RESOURCE nobody may lower a process's OOM score, and runc dies when it tries.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def program() -> processes.Program:
    """Write containerd's configuration and return how to run it."""
    folder = home.cluster()
    text = _CONFIG.format(folder=folder, runtime=RUNTIME, socket=SOCKET, pause=PAUSE_TAG)
    config = folder / "containerd.toml"
    folder.mkdir(parents=True, exist_ok=True)
    RUNTIME.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    argv = ["containerd", "--config", str(config), "--log-level", "warn"]
    return processes.Program("containerd", argv, folder, network.NETNS, inputs=(text,))


def ensure() -> None:
    """Start containerd and give it the pause image."""
    processes.ensure(program())
    if not processes.wait(_answers, _READY_SECONDS):
        said = processes.tail(program().log)
        raise shell.CommandError(["containerd"], 1, said)
    if not has_image(PAUSE_TAG):
        source = home.HERE / "images" / "pause"
        binary = binaries.build_program(source, home.binaries() / "pause")
        archive = home.home() / "images" / "pause.tar"
        import_archive(archives.StaticImage(PAUSE_TAG, binary, "pause").write(archive))


def has_image(tag: str) -> bool:
    """Say whether containerd has an image."""
    return tag in ctr("images", "list", "--quiet").split()


def import_archive(archive: Path) -> None:
    """Give an image archive to containerd, where kubelet finds it."""
    ctr("images", "import", str(archive))


def ctr(*arguments: str) -> str:
    """Speak to containerd, in the namespace that kubelet uses."""
    return shell.run(["ctr", "--address", str(SOCKET), "--namespace", "k8s.io", *arguments])


def delete_all() -> None:
    """End every container, and the processes that watched over them."""
    if _answers():
        tasks = [line.split()[0] for line in ctr("tasks", "list").splitlines()[1:]]
        progress.say(f"ending {len(tasks)} containers")
        for task in tasks:
            with contextlib.suppress(shell.CommandError):
                ctr("tasks", "delete", "--force", task)
    processes.stop(home.cluster() / "run" / "containerd.json")
    for pid in _shims():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _answers() -> bool:
    argv = ["ctr", "--address", str(SOCKET), "--connect-timeout", "2s", "version"]
    return SOCKET.exists() and shell.succeeds(argv)


def _shims() -> list[int]:
    """Return the shims that were started with our socket's address, which is nobody else's."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[0].endswith("containerd-shim-runc-v2") and str(SOCKET) in words:
                found.append(int(folder.name))
    return found
