"""Azurite, the Azure storage emulator: from npm, pinned by ``npm/azurite/package-lock.json``."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from cluster import home, packages, progress, shell

_PINS = home.HERE / "npm" / "azurite"
_NODE: Mapping[str, str] = {"node": "nodejs", "npm": "npm"}
_MAIN = Path("node_modules/azurite/dist/src/blob/main.js")


def ensure() -> list[str]:
    """Install it unless it is cached; return the command of its blob service."""
    packages.ensure(_NODE)
    lock = (_PINS / "package-lock.json").read_bytes()
    folder = home.builds() / "azurite" / hashlib.sha256(lock).hexdigest()[:16]
    with home.lock("build-azurite"):
        if not (folder / "complete").exists():
            _install(folder)
    return [shell.which("node") or "node", str(folder / _MAIN)]


def _install(folder: Path) -> None:
    with progress.step("installing Azurite from npm (once; about 40 seconds)"):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(_PINS, folder)
        # What is optional there is for other things than blobs, and a script is none of ours.
        shell.run(["npm", "ci", "--omit=optional", "--ignore-scripts"], cwd=folder)
        (folder / "complete").touch()
