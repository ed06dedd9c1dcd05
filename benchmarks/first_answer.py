"""How long after a TrainedModel is created does its model answer, on the real node.

`make bench` runs this. Thirty models (`--models`) are created one by one on a warm server; the
clock starts when the create request is sent and stops at the first 200 for the model through
the ingress. The models' files are tiny, so what is measured is Shoal's own way from the API
server to the model server. Beside the times stand the operator's and the agent's memory, as
their own metrics tell it.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path

import aiohttp

from shoal.cluster.client import Client

NAMESPACE = "shoal-bench"
SERVICE = "bench"
BUCKET = "bench"
TARGET_P95_SECONDS = 1.0
CHECKOUT = Path(__file__).resolve().parent.parent
KEYS = {"AWS_ACCESS_KEY_ID": "shoal-access", "AWS_SECRET_ACCESS_KEY": "shoal-secret-key"}
REQUEST = (CHECKOUT / "examples/custom-server/input.json").read_bytes()
_POLL_SECONDS = 0.005
_ANSWER_SECONDS = 60

SETUP = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "store",
            "namespace": NAMESPACE,
            "annotations": {
                "serving.kserve.io/s3-endpoint": "versitygw.storage:9000",
                "serving.kserve.io/s3-usehttps": "0",
                "serving.kserve.io/s3-region": "us-east-1",
            },
        },
        "stringData": KEYS,
    },
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": NAMESPACE},
        "secrets": [{"name": "store"}],
    },
    {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {
            "predictor": {
                "containers": [
                    {
                        "name": "kserve-container",
                        "image": "localhost/custom-server:dev",
                        "env": [{"name": "MULTI_MODEL_SERVER", "value": "true"}],
                        "resources": {
                            "requests": {"cpu": "100m", "memory": "512Mi"},
                            "limits": {"cpu": "1", "memory": "2Gi"},
                        },
                    }
                ]
            }
        },
    },
]


def main() -> int:
    """Run the benchmark; the exit code is 0 when the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=30)
    models = parser.parse_args().models
    prepare(models)
    try:
        seconds = asyncio.run(measure(models))
        memory = resident()
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=true")
    p95 = report(seconds, memory)
    return 0 if p95 <= TARGET_P95_SECONDS else 1


def prepare(models: int) -> None:
    """Upload the models and wait until their server is ready and warm."""
    exports = run(sys.executable, "tests/cluster/s3.py")
    endpoint = re.findall(r"SHOAL_S3=(\S+)", exports)[-1]
    with tempfile.TemporaryDirectory() as folder:
        trained = Path(folder, "trained")
        run(sys.executable, "examples/custom-server/train.py", str(trained))
        copies = Path(folder, "copies")
        for name in names(models):
            (copies / name).mkdir(parents=True)
            source = trained / "model1-custom" / "model.joblib"
            (copies / name / "model.joblib").write_bytes(source.read_bytes())
        run(sys.executable, "examples/custom-server/upload.py", endpoint, BUCKET, str(copies))
    kubectl("apply", "--server-side", "-f", "-", text=json.dumps({
        "apiVersion": "v1", "kind": "List", "items": SETUP,
    }))  # fmt: skip
    wait = ("wait", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=180s")
    kubectl(*wait, f"inferenceservice/{SERVICE}")


def names(models: int) -> list[str]:
    """Name the models; the first only warms the server up."""
    return ["warm-up", *(f"model-{number:03}" for number in range(models))]


async def measure(models: int) -> list[float]:
    """Create one model after the other; return the seconds that each took to answer."""
    client = await Client.connect()
    host = f"{SERVICE}.{NAMESPACE}.example.com"
    try:
        async with aiohttp.ClientSession(headers={"Host": host}) as session:
            taken = [await first_answer(client, session, name) for name in names(models)]
    finally:
        await client.close()
    return taken[1:]


async def first_answer(client: Client, session: aiohttp.ClientSession, name: str) -> float:
    """Create a TrainedModel and ask until it answers."""
    url = f"http://{os.environ['SHOAL_INGRESS']}/v2/models/{name}/infer"
    started = time.perf_counter()
    await client.create(trained_model(name))
    async with asyncio.timeout(_ANSWER_SECONDS):
        while True:
            async with session.post(url, data=REQUEST) as response:
                await response.read()
                if response.status == 200:  # noqa: PLR2004 - HTTP's OK
                    return time.perf_counter() - started
            await asyncio.sleep(_POLL_SECONDS)


def trained_model(name: str) -> dict[str, object]:
    """Make a TrainedModel."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "inferenceService": SERVICE,
            "model": {
                "storageUri": f"s3://{BUCKET}/{name}",
                "framework": "custom",
                "memory": "1Mi",
            },
        },
    }


def resident() -> dict[str, float]:
    """Read the resident memory, in MiB, of the operator and of the agent."""
    pods = {
        "operator": ("shoal-system", "app.kubernetes.io/name=shoal", 8080),
        "agent": (NAMESPACE, f"serving.kserve.io/inferenceservice={SERVICE}", 9082),
    }
    return {who: max(_resident(*where)) for who, where in pods.items()}


def _resident(namespace: str, selector: str, port: int) -> Iterable[float]:
    path = "jsonpath={.items[*].status.podIP}"
    for address in kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", path).split():
        with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = re.search(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)
        yield float(found.group(1)) / 2**20 if found else float("nan")


def report(seconds: Sequence[float], memory: dict[str, float]) -> float:
    """Print the table; return the 95th percentile."""
    p50 = statistics.median(seconds)
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    table(
        (f"created to first 200, {len(seconds)} models one by one: p50", f"{p50:.3f} s", ""),
        ("… p95", f"{p95:.3f} s", f"<= {TARGET_P95_SECONDS:.0f} s"),
        ("… max", f"{max(seconds):.3f} s", ""),
        ("operator, resident", f"{memory['operator']:.0f} MiB", "<= 150 MiB"),
        (f"agent with {len(seconds) + 1} models", f"{memory['agent']:.0f} MiB", "<= 60 MiB"),
    )
    return p95


def table(*rows: tuple[str, str, str]) -> None:
    """Print what was measured beside its target."""
    for what, measured, target in [("measure", "measured", "target"), *rows]:
        sys.stdout.write(f"{what:58} {measured:>10}   {target}\n")


def kubectl(*arguments: str, text: str = "") -> str:
    """Run kubectl and return its output."""
    return run("kubectl", *arguments, text=text)


def run(*command: str, text: str = "") -> str:
    """Run a command in the checkout; an error shows what it said."""
    done = subprocess.run(  # noqa: S603 - the commands are this file's own
        command, cwd=CHECKOUT, env={**os.environ, **KEYS}, input=text,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
