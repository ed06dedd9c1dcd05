"""Two hundred InferenceServices at once, each with a model of its own: until all is made.

Two hundred services (`--services`) with a `storageUri` are created side by side; the clock starts
with the first request and stops when each has its Deployment, its Service and a status. They ask
for more than any node has, so no pod starts: what is measured is the operator and the API server.
Then nothing changes for a minute, and the operator's writes are counted from the audit log.
"""

import argparse
import asyncio
import sys
import time

import apicalls
import stage
from stage import Row

from shoal.cluster import kinds
from shoal.cluster.client import Client
from shoal.cluster.kinds import Kind

# A list of so many costs the API server what ten writes cost it.
POLL_SECONDS = 1.0
TOO_MUCH = {"requests": {"cpu": "1000"}, "limits": {"cpu": "1000"}}


def main() -> int:
    """Run the benchmark; the exit code is 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=200)
    names = [f"own-{number:04}" for number in range(parser.parse_args().services)]
    with stage.stage([stage.service("warm")], ["iris"]):
        rows = asyncio.run(measure(names))
    return stage.note("services", rows)


async def measure(names: list[str]) -> list[Row]:
    """Create all, wait, and let them rest."""
    many = f"{len(names):,} InferenceServices"
    async with stage.connected() as client:
        before = stage.operator("process_cpu_seconds_total")
        started = time.perf_counter()
        await stage.create(client, map(service, names))
        for kind in (kinds.DEPLOYMENT, kinds.SERVICE):
            await until_each_has(client, kind, names)
        made = time.perf_counter() - started
        await stage.until(
            lambda: client.list(kinds.INFERENCE_SERVICE, stage.NAMESPACE),
            all_are_told,
            pause=POLL_SECONDS,
        )
        told = time.perf_counter() - started
        await apicalls.at_rest()
        cpu = stage.operator("process_cpu_seconds_total") - before
    await asyncio.sleep(apicalls.SETTLED_SECONDS / 2)  # until the scheduler has said what it has
    audit = apicalls.begin()
    await asyncio.sleep(apicalls.SETTLED_SECONDS)
    writes = apicalls.writes(apicalls.verbs(audit, apicalls.OPERATOR))
    return [
        Row(f"{many} created at once: each with Deployment and Service", made, "s"),
        Row(f"{many} created at once: each with a status", told, "s"),
        Row("operator, CPU a service", 1000 * cpu / len(names), "ms"),
        Row(f"settled with {many}: writes a minute, the Lease's left out", writes, "", 0),
    ]


def service(name: str) -> stage.Body:
    """Write an InferenceService whose pod no node can run."""
    sklearn = {
        "protocolVersion": "v2",
        "storageUri": f"s3://{stage.BUCKET}/iris",
        "resources": TOO_MUCH,
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": stage.NAMESPACE},
        "spec": {"predictor": {"sklearn": sklearn}},
    }


async def until_each_has(client: Client, kind: Kind, names: list[str]) -> None:
    """Wait until there is a predictor's object for every service."""
    wanted = {f"{name}-predictor" for name in names}

    async def found() -> set[str]:
        return {body["metadata"]["name"] for body in await client.list(kind, stage.NAMESPACE)}

    await stage.until(found, lambda seen: wanted <= seen, pause=POLL_SECONDS)


def all_are_told(bodies: list[stage.Body]) -> bool:
    """Tell whether every service has a status that says Ready, or why not."""
    return all((body.get("status") or {}).get("conditions") for body in bodies)


if __name__ == "__main__":
    sys.exit(main())
