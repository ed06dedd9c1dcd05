"""Environments of the model servers in `servers/`, made once from the locks of their images."""

import ctypes.util
import hashlib
from collections.abc import Mapping
from pathlib import Path

from cluster import home, packages, shell

FOLDER = home.CHECKOUT / "servers"
NAMES = ("mlserver", "kserve-sdk", "triton")
# Library -> Debian package; the images install the same.
_LIBRARIES: Mapping[str, str] = {"gomp": "libgomp1", "python3.11": "libpython3.11"}
_ASSEMBLED = "triton"
_ASSEMBLE = FOLDER / _ASSEMBLED / "assemble.py"


def ensure(name: str) -> Path:
    """Have the environment of a server; return its folder of commands."""
    lock = FOLDER / name / "requirements.lock"
    made_by = lock.read_bytes() + (_ASSEMBLE.read_bytes() if name == _ASSEMBLED else b"")
    key = hashlib.sha256(made_by).hexdigest()[:16]
    folder = home.home() / "venv" / f"{name}-{key}"
    with home.lock(f"venv-{name}"):
        if not (folder / "complete").exists():
            _make(folder, name, lock)
            (folder / "complete").touch()
    return folder / "bin"


def ensure_all() -> None:
    """Have the environments of all servers."""
    for name in NAMES:
        ensure(name)


def _make(folder: Path, name: str, lock: Path) -> None:
    _ensure_libraries()
    arguments = ["--no-deps", "--require-hashes", "-r", str(lock)]
    packages.pip_install(folder, arguments)
    if name == _ASSEMBLED:
        shell.run([str(folder / "bin" / "python"), str(_ASSEMBLE)])


def _ensure_libraries() -> None:
    packages.install(
        lambda: [
            package for name, package in _LIBRARIES.items() if not ctypes.util.find_library(name)
        ]
    )
