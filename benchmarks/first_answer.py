"""How long after a TrainedModel is created does its model answer, on the real node.

Thirty models (`--models`) are created one by one on a warm server; the clock starts when the
create request is sent and stops at the first 200 for the model through the ingress. The models'
files are tiny, so what is measured is Shoal's own way from the API server to the model server.
Beside the times stand the operator's and the agent's memory, as their own metrics tell it.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time

import aiohttp
import stage
from stage import Row

from shoal.cluster.client import Client

SERVER = "bench"
_POLL_SECONDS = 0.005
_ANSWER_SECONDS = 60
_OK = 200


def main() -> int:
    """Run the benchmark; the exit code is 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=30)
    # The first only warms the server up.
    names = ["warm-up", *(f"model-{number:03}" for number in range(parser.parse_args().models))]
    stage.fresh_operator()
    with stage.stage([stage.service(SERVER)], names):
        idle = stage.agent("process_resident_memory_bytes", SERVER)
        seconds = asyncio.run(measure(names))[1:]
        used = stage.operator("process_resident_memory_bytes")
    many = f"created to first 200, {len(seconds)} models one by one"
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return stage.note("first_answer", [
        Row(f"{many}: p50", statistics.median(seconds), "s"),
        Row(f"{many}: p95", p95, "s", 1),
        Row(f"{many}: max", max(seconds), "s"),
        Row("agent without models, resident", stage.mebibytes(idle), "MiB", 45),
        Row("operator with few models, resident", stage.mebibytes(used), "MiB", 150),
    ])  # fmt: skip


async def measure(names: list[str]) -> list[float]:
    """Create one model after the other; return the seconds that each took to answer."""
    headers = {"Host": f"{SERVER}.{stage.NAMESPACE}.example.com"}
    async with stage.connected() as client, aiohttp.ClientSession(headers=headers) as session:
        return [await first_answer(client, session, name) for name in names]


async def first_answer(client: Client, session: aiohttp.ClientSession, name: str) -> float:
    """Create a TrainedModel and ask until it answers."""
    url = f"http://{os.environ['SHOAL_INGRESS']}/v2/models/{name}/infer"
    started = time.perf_counter()
    await client.create(stage.trained_model(name, SERVER))
    async with asyncio.timeout(_ANSWER_SECONDS):
        while True:
            async with session.post(url, data=stage.REQUEST) as response:
                await response.read()
                if response.status == _OK:
                    return time.perf_counter() - started
            await asyncio.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
