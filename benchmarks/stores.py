"""An S3 server on loopback with large and small objects, and the Python that others fetch with."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import stage

from cluster import binaries, home, packages
from support.agentrigs import Bucket

LOCK = stage.CHECKOUT / "requirements" / "bench.lock"
FILES = 1000
SMALLEST, LARGEST = 1024, 64 * 1024
_BLOCK = 2**24


def environment() -> Path:
    """Have an environment with boto3 and kserve-storage; return its Python."""
    folder = home.home() / "venv" / f"bench-{sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    with home.lock("venv-bench"):
        if not (folder / "complete").exists():
            packages.pip_install(folder, ["--require-hashes", "-r", str(LOCK)])
            (folder / "complete").touch()
    return folder / "bin" / "python"


@contextmanager
def bucket(folder: Path, large: int) -> Iterator[Bucket]:
    """Run an S3 server that has the objects `large`, of so many bytes, and `small/`."""
    server = Bucket.make(binaries.ensure("versitygw") / "versitygw", folder / "bucket")
    dice = random.Random(0)  # noqa: S311 - any sizes
    for number in range(FILES):
        server.place(f"small/{number:04}", os.urandom(dice.randint(SMALLEST, LARGEST)))
    with (folder / "bucket" / "data" / "models" / "large").open("wb") as sink:
        for _ in range(large // _BLOCK):
            sink.write(os.urandom(_BLOCK))
    try:
        yield server
    finally:
        server.process.end()
