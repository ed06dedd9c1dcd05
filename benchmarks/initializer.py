"""How fast is `shoal fetch` beside kserve-storage, KServe's own, from the same S3 server.

One object of 1 GiB and a folder of a thousand small files are each brought three times (`--runs`)
by either, in turn, each time by a process of its own into an empty folder on disk. The clock runs
from the process's start to its end, as an init container is waited for; its peak resident memory
is the kernel's word just before that. No cluster.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import stage
import stores
from stage import Row

from cluster import home
from support.agentrigs import Bucket

LARGE = 2**30
STEP_SECONDS = 0.01
KSERVE = """
import sys
from kserve_storage import Storage
Storage.download(sys.argv[1], sys.argv[2])
"""
OURS, THEIRS = "ours", "kserve-storage"
Run = tuple[float, float]  # seconds, MiB


def main() -> int:
    """Run the benchmark; the exit code is 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    programs = {
        OURS: [sys.executable, "-m", "shoal", "fetch"],
        THEIRS: [str(stores.environment()), "-c", KSERVE],
    }
    with (
        tempfile.TemporaryDirectory(dir=home.home(), prefix="initializer-") as folder,
        stores.bucket(Path(folder), LARGE) as server,
    ):
        large = compare(programs, server, "s3://models/large", runs)
        small = compare(programs, server, "s3://models/small", runs)
    size = stage.mebibytes(LARGE)
    return stage.note("initializer", [
        Row("init container, one object of 1 GiB: ours", size / large[OURS][0], "MiB/s"),
        Row("… kserve-storage", size / large[THEIRS][0], "MiB/s"),
        Row("… ours to kserve-storage", large[THEIRS][0] / large[OURS][0], "x", least=2),
        Row("… ours: peak resident memory", large[OURS][1], "MiB"),
        Row("… kserve-storage: peak resident memory", large[THEIRS][1], "MiB"),
        Row("init container, 1,000 files: ours", stores.FILES / small[OURS][0], "files/s"),
        Row("… kserve-storage", stores.FILES / small[THEIRS][0], "files/s"),
        Row("… ours to kserve-storage", small[THEIRS][0] / small[OURS][0], "x", least=5),
    ])  # fmt: skip


def compare(
    programs: Mapping[str, list[str]], server: Bucket, uri: str, runs: int
) -> dict[str, Run]:
    """Bring an address by each program in turn; return the medians of each one's runs."""
    seen: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, command in programs.items():
            seen[name].append(bring(command, server, uri))
    return {
        name: (
            statistics.median(row[0] for row in rows),
            statistics.median(row[1] for row in rows),
        )
        for name, rows in seen.items()
    }


def bring(command: list[str], server: Bucket, uri: str) -> Run:
    """Run a program to its end.

    Raises:
        SystemExit: it failed.
    """
    into = Path(tempfile.mkdtemp(dir=server.process.log.parent))
    environ = {
        **os.environ,
        **stage.KEYS,
        "AWS_ENDPOINT_URL": server.endpoint,
        "S3_USE_HTTPS": "0",
        "PYTHONPATH": str(stage.CHECKOUT / "operator"),
    }
    log = into.with_suffix(".log")
    peak = 0.0
    started = time.perf_counter()
    with log.open("w") as sink:
        process = subprocess.Popen(  # noqa: S603 - ours
            [*command, uri, str(into)], env=environ, stdout=sink, stderr=sink
        )
        while process.poll() is None:
            peak = max(peak, stage.peak(process.pid))
            time.sleep(STEP_SECONDS)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(log.read_text())
    shutil.rmtree(into)
    os.sync()  # what one run leaves to be written is not the next one's burden
    return seconds, peak


if __name__ == "__main__":
    sys.exit(main())
