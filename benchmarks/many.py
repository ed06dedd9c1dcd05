"""Ten thousand models on six services: loading, resting, and the operator coming and going.

Ten thousand TrainedModels (`--models`) for six warm services (`--services`) are created side by
side, until every one is Ready. Then nothing changes for a minute, and the requests to the API
server are counted from its audit log; the operator is restarted; and with two replicas the
leader is killed, and the clock stops when a model created right after is Ready.
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


def main() -> int:
    """Run the benchmark; the exit code is 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--services", type=int, default=6)
    options = parser.parse_args()
    services = [f"bench-{number}" for number in range(options.services)]
    names = [f"model-{number:05}" for number in range(options.models)]
    stage.fresh_operator()
    with stage.stage([stage.service(name) for name in services], names):
        rows = asyncio.run(measure(services, names))
    return stage.note("many", rows)


async def measure(services: list[str], names: list[str]) -> list[Row]:
    """Measure one thing after the other on the same services."""
    async with stage.connected() as client:
        rows = await loading(client, services, names)
        rows += await resting(len(names))
        rows += await restarting(client, len(names))
        rows += await failing_over(client, services[0], len(names))
    return rows


async def loading(client: Client, services: list[str], names: list[str]) -> list[Row]:
    """Create all models; take the time and the operator's cost."""
    before = stage.operator("process_cpu_seconds_total")
    started = time.perf_counter()
    await stage.create(
        client,
        [
            stage.trained_model(name, services[number % len(services)])
            for number, name in enumerate(names)
        ],
    )
    await stage.until_loaded(client, len(names))
    loaded = time.perf_counter() - started
    await stage.until_ready(client, len(names))
    ready = time.perf_counter() - started
    await apicalls.at_rest()
    cpu = stage.operator("process_cpu_seconds_total") - before
    used = stage.operator("process_resident_memory_bytes")
    agents = max(stage.agent("process_resident_memory_bytes", name) for name in services)
    many = f"{len(names):,} models over {len(services)} services"
    return [
        Row(f"{many} created at once: all loaded", loaded, "s", 180),
        Row(f"{many} created at once: all Ready", ready, "s", 180),
        Row(f"operator with {many}, resident", stage.mebibytes(used), "MiB", 400),
        Row("operator, CPU a model from creation to Ready", 1000 * cpu / len(names), "ms"),
        Row("largest agent of these, resident", stage.mebibytes(agents), "MiB"),
    ]


async def resting(models: int) -> list[Row]:
    """Count the requests of a settled cluster, by verb."""
    audit = apicalls.begin()
    await asyncio.sleep(apicalls.SETTLED_SECONDS)
    operator = apicalls.verbs(audit, apicalls.OPERATOR)
    agents = apicalls.verbs(audit, apicalls.AGENTS)
    minutes = apicalls.SETTLED_SECONDS / 60
    writes = apicalls.writes(operator + agents)
    settled = f"settled with {models:,} models"
    return [
        Row(f"{settled}: writes a minute, the Lease's left out", writes / minutes, "", 0),
        *(
            Row(f"{settled}: {who}, {verb} a minute", count / minutes)
            for who, counts in (("operator", operator), ("agents", agents))
            for verb, count in sorted(counts.items())
            if verb not in apicalls.WRITES
        ),
    ]


async def restarting(client: Client, models: int) -> list[Row]:
    """Restart the operator; count what it writes, and take the time until it is at rest."""
    audit = apicalls.begin()
    started = time.perf_counter()
    await asyncio.to_thread(stage.fresh_operator)
    await apicalls.at_rest()
    steady = time.perf_counter() - started
    await stage.until_ready(client, models)
    await asyncio.sleep(5)  # what a pass writes late would come now
    writes = apicalls.writes(apicalls.verbs(audit, apicalls.OPERATOR))
    return [
        Row(f"operator restarted with {models:,} models: until steady", steady, "s"),
        Row("operator restarted: writes, the Lease's left out", writes, "", 0),
    ]


async def failing_over(client: Client, server: str, models: int) -> list[Row]:
    """Kill the leader of two; take the time until its successor has made a model Ready."""
    await scale(2)
    try:
        await apicalls.at_rest()
        lease = await client.get(kinds.LEASE, stage.SYSTEM, "shoal-operator") or {}
        leader = lease["spec"]["holderIdentity"]
        started = time.perf_counter()
        kill = ("delete", "pod", leader, "--grace-period=0", "--force")
        await asyncio.to_thread(stage.kubectl, "-n", stage.SYSTEM, *kill)
        await client.create(stage.trained_model("after", server, "model-00000"))
        await stage.until(
            lambda: client.get(kinds.TRAINED_MODEL, stage.NAMESPACE, "after"), stage.is_ready
        )
        taken = time.perf_counter() - started
    finally:
        await scale(1)
    return [Row(f"leader killed with {models:,} models: until the next has served", taken, "s")]


async def scale(replicas: int) -> None:
    """Run that many operators."""
    scale = ("scale", "deployment/shoal", f"--replicas={replicas}")
    await asyncio.to_thread(stage.kubectl, "-n", stage.SYSTEM, *scale)
    await asyncio.to_thread(stage.ready_operator)


if __name__ == "__main__":
    sys.exit(main())
