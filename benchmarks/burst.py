"""A thousand models at once on one pod: all loaded, Ready again after a restart, and gone.

A thousand TrainedModels (`--models`) for one warm server are created side by side; the clock
starts with the first request and stops when the InferenceService reports all of them loaded.
When all are Ready the pod is deleted, and the clock stops when all are Ready on its successor. At
last the service is deleted, and the clock stops when the last TrainedModel is gone. The files
are tiny: what is measured is Shoal, the API server and the model server's load.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable

import stage
from stage import Row

from shoal.cluster import kinds
from shoal.cluster.client import Client

SERVER = "bench"


def main() -> int:
    """Run the benchmark; the exit code is 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    names = [f"model-{number:05}" for number in range(parser.parse_args().models)]
    stage.fresh_operator()
    with stage.stage([stage.service(SERVER)], names):
        rows = asyncio.run(measure(names))
    return stage.note("burst", rows)


async def measure(names: list[str]) -> list[Row]:
    """Create all models, restart their pod, delete their service."""
    async with stage.connected() as client:
        loaded = await timed(create(client, names))
        operator = stage.operator("process_resident_memory_bytes")
        agent = stage.agent("process_resident_memory_bytes", SERVER)
        await stage.until_ready(client, len(names))
        again = await timed(restart(client, len(names)))
        gone = await timed(delete(client))
    many = f"{len(names):,} models"
    return [
        Row(f"{many} created at once on one pod: all loaded", loaded, "s", 15),
        Row(f"pod with {many} deleted: all Ready again on the next", again, "s"),
        Row(f"service with {many} deleted: all gone", gone, "s", 15),
        Row(f"operator with {many}, resident", stage.mebibytes(operator), "MiB", 150),
        Row(f"agent with {many}, resident", stage.mebibytes(agent), "MiB", 60),
    ]


async def timed(work: Awaitable[None]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def create(client: Client, names: list[str]) -> None:
    """Create the models side by side; return when all are reported loaded."""
    await stage.create(client, [stage.trained_model(name, SERVER) for name in names])
    await stage.until_loaded(client, len(names))


async def restart(client: Client, models: int) -> None:
    """Delete the pod; return when all models are Ready again, on its successor."""
    label = f"serving.kserve.io/inferenceservice={SERVER}"
    pods = ["-n", stage.NAMESPACE, "-l", label]
    await asyncio.to_thread(stage.kubectl, "delete", "pod", *pods, "--wait=false")
    await stage.until(lambda: stage.ready(client), lambda ready: ready < models)
    await stage.until_ready(client, models)


async def delete(client: Client) -> None:
    """Delete the service; return when none of its models is left."""
    body = await client.get(kinds.INFERENCE_SERVICE, stage.NAMESPACE, SERVER)
    if body is None:
        raise SystemExit("the service is gone before it was deleted")
    uid = body["metadata"]["uid"]
    await client.delete(kinds.INFERENCE_SERVICE, stage.NAMESPACE, SERVER, uid)
    await stage.until(
        lambda: client.list(kinds.TRAINED_MODEL, stage.NAMESPACE), lambda left: not left
    )


if __name__ == "__main__":
    sys.exit(main())
