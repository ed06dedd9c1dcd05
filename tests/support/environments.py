"""Makes the virtual environment that every target of the Makefile uses; standard library only.

Called by the Makefile with the environment's folder, whose name carries a hash of the lock file:
an environment is made once, and a changed lock makes another.
"""

import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from pathlib import Path

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "dev.lock"
OLDEST = (3, 11)
_STARTED = time.monotonic()


def say(text: str) -> None:
    """Tell the person who waits what happens."""
    sys.stderr.write(f"[{time.monotonic() - _STARTED:6.1f}s] {text}\n")


def run(argv: Sequence[str]) -> None:
    """Run a command that may take long, its output where the person sees it."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(argv, check=True, env=env, stdout=sys.stderr)  # noqa: S603 - ours


def missing() -> list[str]:
    """List the Debian packages that are needed and not here; elsewhere Python has its own."""
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    has_venv = subprocess.run(probe, check=False, capture_output=True).returncode == 0  # noqa: S603
    packages = [] if has_venv else ["python3-venv"]
    return packages if shutil.which("curl") else [*packages, "curl", "ca-certificates"]


def ensure_packages() -> None:
    """Install what is missing."""
    packages = missing()
    if not packages:
        return
    words = " ".join(packages)
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise SystemExit(f"these are missing, and only root on Debian gets them here: {words}")
    say(f"installing Debian packages: {words}")
    run(["apt-get", "update", "-q"])
    run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages])


def make(folder: Path) -> None:
    """Make the environment from the lock file, every package checked by its hash.

    Nothing is compiled, which is half of the work: Python does that for what is imported.
    """
    ensure_packages()
    say(f"making the Python environment {folder} (once; about a minute)")
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-compile", "--require-hashes", "-r", str(LOCK)])
    (folder / "complete").touch()
    say("the Python environment is ready")


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        raise SystemExit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    make(Path(sys.argv[1]))
