"""How fast are downloads beside boto3's, from the same S3 server on loopback, in the same run.

One object of 2 GiB and a folder of a thousand small files are each fetched three times (`--runs`)
by either, in turn, each time by a process of its own into an empty folder on disk; the clock runs
inside the process, without its imports. Ours takes the sha256 of everything on the way, as the
agent does. Then a whole agent fetches the large one, and its peak memory is read. No cluster.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import stage
import stores
from stage import Row

from cluster import home
from shoal.modelconfig import Model
from support.agentrigs import Agent, Bucket, until

LARGE = 2**31

BOTO3 = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
import boto3

begun = time.perf_counter()
parts = urlsplit(sys.argv[1])
bucket, key = parts.netloc, parts.path.lstrip("/")
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1")
if key.endswith("/"):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    keys = [row["Key"] for page in pages for row in page["Contents"]]
else:
    keys = [key]
def fetch(each):
    target = Path(sys.argv[2], each)
    target.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, each, str(target))
with ThreadPoolExecutor(10) as pool:  # as many files at once as its manager takes requests
    list(pool.map(fetch, keys))
print(time.perf_counter() - begun)
"""


def main() -> int:
    """Run the benchmark; the exit code is 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    programs = {
        "ours": [sys.executable, str(Path(__file__).with_name("download.py"))],
        "boto3": [str(stores.environment()), "-c", BOTO3],
    }
    with (
        tempfile.TemporaryDirectory(dir=home.home(), prefix="fetch-") as folder,
        stores.bucket(Path(folder), LARGE) as server,
    ):
        large = compare(programs, server, "s3://models/large", runs)
        small = compare(programs, server, "s3://models/small/", runs)
        peak = agent_peak(Path(folder), server)
    size = stage.mebibytes(LARGE)
    return stage.note("fetch", [
        Row("one object of 2 GiB: ours", size / large["ours"], "MiB/s"),
        Row("… boto3", size / large["boto3"], "MiB/s"),
        Row("… ours to boto3", large["boto3"] / large["ours"], "x", least=2),
        Row("1,000 files of 1 to 64 KiB: ours", stores.FILES / small["ours"], "files/s"),
        Row("… boto3", stores.FILES / small["boto3"], "files/s"),
        Row("… ours to boto3", small["boto3"] / small["ours"], "x", least=5),
        Row("agent fetching 2 GiB: peak resident memory", peak, "MiB", most=200),
    ])  # fmt: skip


def compare(
    programs: Mapping[str, list[str]], server: Bucket, uri: str, runs: int
) -> dict[str, float]:
    """Fetch an address by each program in turn; return the median of each one's seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, command in programs.items():
            seconds[name].append(fetch(command, server, uri))
    return {name: statistics.median(each) for name, each in seconds.items()}


def fetch(command: list[str], server: Bucket, uri: str) -> float:
    """Fetch once; return the seconds that the process says it took."""
    into = Path(tempfile.mkdtemp(dir=server.process.log.parent))
    environ = stage.KEYS | {"AWS_ENDPOINT_URL": server.endpoint}
    done = subprocess.run(  # noqa: S603 - ours
        [*command, uri, str(into)],
        env={**os.environ, **environ, "PYTHONPATH": str(stage.CHECKOUT / "operator")},
        check=True, stdout=subprocess.PIPE, text=True,  # what goes wrong is shown
    )  # fmt: skip
    shutil.rmtree(into)
    os.sync()  # what one run leaves to be written is not the next one's burden
    return float(done.stdout)


def agent_peak(folder: Path, server: Bucket) -> float:
    """Let an agent fetch the large object; return its highest resident memory in MiB."""
    place = folder / "agent"
    (place / "models").mkdir(parents=True)
    environ = stage.KEYS | {"AWS_ENDPOINT_URL": server.endpoint, "SHOAL_MEASURE": "1"}
    agent = Agent.make(place, 9, environ)
    agent.want_by_file(Model("large", "s3://models/large", "custom", "1Mi"))
    agent.start()
    try:
        until(lambda: any((place / "store" / "trees").glob("*/large")), 120)
        running = agent.process.running
        used = stage.peak(running.pid) if running else 0.0
        if not used:
            raise SystemExit("the agent ended before its memory was read")
        return used
    finally:
        agent.process.end()


if __name__ == "__main__":
    sys.exit(main())
