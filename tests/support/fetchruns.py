"""`shoal fetch` as a process, with what the kubelet gives it."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.agentrigs import ACCESS_KEY, CHECKOUT, SECRET_KEY

_SECONDS = 60.0


@dataclass(frozen=True)
class FetchRun:
    """How it is run: its variables and the folder for what it writes beside the models."""

    folder: Path
    environ: Mapping[str, str]

    @classmethod
    def make(cls, folder: Path, endpoint: str, environ: Mapping[str, str]) -> "FetchRun":
        """Make it, with keys of a bucket in the environment and no API server."""
        folder.mkdir(parents=True, exist_ok=True)
        note = folder / "termination-log"
        note.write_text("")
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        keys |= {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
        own = {"SHOAL_TERMINATION_LOG": str(note), "PATH": "/usr/bin:/bin"}
        own |= {"PYTHONPATH": str(CHECKOUT / "operator"), "SHOAL_FETCH_PATIENCE_SECONDS": "5"}
        given = {**own, **keys, **environ}
        return cls(folder, {name: value for name, value in given.items() if value})

    @property
    def note(self) -> str:
        """What the kubelet would take for the reason."""
        return (self.folder / "termination-log").read_text()

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start it."""
        return subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-W", "error", "-m", "shoal", "fetch", *map(str, words)],
            env={**self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """Wait for its end; return what it said."""
        out, err = process.communicate(timeout=_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return self.end(self.start(*words))


def found(folder: Path) -> dict[str, bytes]:
    """Read the files of a folder, without the fetcher's own."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    rows = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: content for name, content in rows.items() if not name.startswith(".shoal-")}
