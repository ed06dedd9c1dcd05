"""How long after a change of its storageUri is the changed model served, and what fails meanwhile.

One model is changed thirty times (`--changes`), each time to an artifact that was never fetched
before, while a client keeps asking for it through the ingress. The clock starts when the change
is sent and stops when the client sees the first answer of the new artifact. Every answer that is
neither the old nor the new one counts as failed.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field

import aiohttp
import stage
from stage import Row

from shoal.cluster import kinds
from shoal.cluster.client import Client
from shoal.cluster.ports import ApiError

SERVER = "bench"
MODEL = "changing"
SOURCES = ("model1-custom", "model2-custom")
ANSWERS = (3.0, 1)  # of either to the request: examples/custom-server/train.py
_CONFLICT = 409
_OK = 200
_CLIENTS = 2


@dataclass
class Traffic:
    """What the clients saw: when which answer came first, and what failed."""

    wanted: float = ANSWERS[0]
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    failed: list[str] = field(default_factory=list)


def main() -> int:
    """Run the benchmark; the exit code is 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=30)
    artifacts = [f"changing-{number:03}" for number in range(parser.parse_args().changes + 1)]
    with stage.stage([stage.service(SERVER)], artifacts[::2]):
        stage.upload(artifacts[1::2], SOURCES[1])
        seconds, traffic = asyncio.run(measure(artifacts))
    for failure in traffic.failed[:5]:
        sys.stdout.write(f"failed: {failure}\n")
    many = f"changed to served, {len(seconds)} changes"
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return stage.note("update", [
        Row(f"{many}: p50", statistics.median(seconds), "s"),
        Row(f"{many}: p95", p95, "s", 1),
        Row(f"requests meanwhile, of {traffic.requests:,}: failed", len(traffic.failed), "", 0),
    ])  # fmt: skip


async def measure(artifacts: list[str]) -> tuple[list[float], Traffic]:
    """Change the model again and again; return the seconds that each change took."""
    headers = {"Host": f"{SERVER}.{stage.NAMESPACE}.example.com"}
    async with stage.connected() as client, aiohttp.ClientSession(headers=headers) as session:
        await client.create(stage.trained_model(MODEL, SERVER, artifacts[0]))
        await stage.until_ready(client, 1)
        traffic = Traffic()
        clients = [asyncio.create_task(ask(session, traffic)) for _ in range(_CLIENTS)]
        taken = []
        for number, artifact in enumerate(artifacts[1:], start=1):
            traffic.wanted, traffic.seen = ANSWERS[number % 2], asyncio.Event()
            started = await change(client, artifact)
            await asyncio.wait_for(traffic.seen.wait(), stage.LONGEST_SECONDS)
            taken.append(time.perf_counter() - started)
            await stage.until_ready(client, 1)
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return taken, traffic


async def change(client: Client, artifact: str) -> float:
    """Name another artifact; return when the change was sent."""
    while True:
        body = await client.get(kinds.TRAINED_MODEL, stage.NAMESPACE, MODEL)
        if body is None:
            raise SystemExit(f"TrainedModel {MODEL} is gone")
        body["spec"]["model"]["storageUri"] = f"s3://{stage.BUCKET}/{artifact}"
        sent = time.perf_counter()
        try:
            await client.replace(body)
        except ApiError as error:
            if error.status != _CONFLICT:  # the operator wrote in between
                raise
        else:
            return sent


async def ask(session: aiohttp.ClientSession, traffic: Traffic) -> None:
    """Keep asking for the model, until cancelled."""
    url = f"http://{os.environ['SHOAL_INGRESS']}/v2/models/{MODEL}/infer"
    while True:
        async with session.post(url, data=stage.REQUEST) as response:
            text = await response.text()
        traffic.requests += 1
        answer = json.loads(text)["outputs"][0]["data"][0] if response.status == _OK else None
        if answer not in ANSWERS:
            traffic.failed.append(f"{response.status} {text[:200]}")
        elif answer == traffic.wanted:
            traffic.seen.set()


if __name__ == "__main__":
    sys.exit(main())
