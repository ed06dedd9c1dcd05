"""How long a thousand models take that come at once, and how long until they are gone.

A thousand TrainedModels (`--models`) for one warm server are created side by side; the clock
starts with the first request and stops when the InferenceService reports all of them loaded.
Then the service is deleted, and the clock stops when the last TrainedModel is gone. The files
are tiny: what is measured is Shoal, the API server and the model server's load.
"""

import argparse
import asyncio
import sys
import time

import first_answer as bench

from shoal.cluster import kinds
from shoal.cluster.client import Client

TARGET_SECONDS = 15.0
_AT_ONCE = 30
_LONGEST_SECONDS = 300.0
_POLL_SECONDS = 0.1


def main() -> int:
    """Run the benchmark; it prints, and leaves the judging to whoever reads it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    models = parser.parse_args().models
    bench.prepare(models)
    try:
        loaded, memory, gone = asyncio.run(measure(models))
    finally:
        bench.kubectl("delete", "namespace", bench.NAMESPACE, "--wait=true")
    report(models, loaded, gone, memory)
    return 0


async def measure(models: int) -> tuple[float, dict[str, float], float]:
    """Create all models, then delete their service; return both times and the memory between."""
    client = await Client.connect()
    try:
        loaded = await create(client, models)
        memory = await asyncio.to_thread(bench.resident)
        return loaded, memory, await delete(client)
    finally:
        await client.close()


async def create(client: Client, models: int) -> float:
    """Create the models side by side; return the seconds until all are reported loaded."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> None:
        async with slots:
            await client.create(bench.trained_model(name))

    started = time.perf_counter()
    async with asyncio.timeout(_LONGEST_SECONDS):
        await asyncio.gather(*(one(name) for name in bench.names(models)[1:]))
        while await loaded_models(client) < models:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(_POLL_SECONDS)
    return time.perf_counter() - started


async def loaded_models(client: Client) -> int:
    """Return how many models the service reports loaded."""
    body = await client.get(kinds.INFERENCE_SERVICE, bench.NAMESPACE, bench.SERVICE) or {}
    return int(body.get("status", {}).get("models", {}).get("loaded", 0))


async def delete(client: Client) -> float:
    """Delete the service; return the seconds until none of its models is left."""
    body = await client.get(kinds.INFERENCE_SERVICE, bench.NAMESPACE, bench.SERVICE)
    if body is None:
        raise SystemExit("the service is gone before it was deleted")
    started = time.perf_counter()
    uid = body["metadata"]["uid"]
    await client.delete(kinds.INFERENCE_SERVICE, bench.NAMESPACE, bench.SERVICE, uid)
    async with asyncio.timeout(_LONGEST_SECONDS):
        while await client.list(kinds.TRAINED_MODEL, bench.NAMESPACE):  # noqa: ASYNC110 - as above
            await asyncio.sleep(_POLL_SECONDS)
    return time.perf_counter() - started


def report(models: int, loaded: float, gone: float, memory: dict[str, float]) -> None:
    """Print the table."""
    target = f"<= {TARGET_SECONDS:.0f} s"
    bench.table(
        (f"{models} models created at once: all loaded", f"{loaded:.1f} s", target),
        (f"service with {models} models deleted: all gone", f"{gone:.1f} s", target),
        (f"operator with {models} models, resident", f"{memory['operator']:.0f} MiB", ""),
        (f"agent with {models} models, resident", f"{memory['agent']:.0f} MiB", "<= 60 MiB"),
    )


if __name__ == "__main__":
    sys.exit(main())
