"""What the benchmarks stand on: services and models on the real cluster, and the table at the end.

Each program here measures one thing and is a command of its own; `make bench` runs them all and
then prints one table of what they noted.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shoal.cluster import kinds
from shoal.cluster.client import Client

NAMESPACE = "shoal-bench"
SYSTEM = "shoal-system"
OPERATOR = "app.kubernetes.io/name=shoal"
BUCKET = "bench"
CHECKOUT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("SHOAL_HOME") or Path.home() / ".cache" / "shoal")
NOTES = HOME / "bench"
KEYS = {"AWS_ACCESS_KEY_ID": "shoal-access", "AWS_SECRET_ACCESS_KEY": "shoal-secret-key"}
REQUEST = (CHECKOUT / "examples/custom-server/input.json").read_bytes()
POLL_SECONDS = 0.1
LONGEST_SECONDS = 600.0
_AT_ONCE = 30
_OPERATOR_PORT = 8080
_AGENT_PORT = 9082
_PLAIN = 100  # from here on, digits after the point say nothing

Body = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of the table; `most` or `least` is the target, None where there is none."""

    what: str
    measured: float
    unit: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def is_missed(self) -> bool:
        """Tell whether there is a target, and it was not reached."""
        too_much = self.most is not None and not self.measured <= self.most
        return too_much or (self.least is not None and not self.measured >= self.least)

    @property
    def target(self) -> str:
        """Write the target, "" when there is none."""
        if self.least is not None:
            return f">= {self.least:g} {self.unit}".rstrip()
        return "" if self.most is None else f"<= {self.most:g} {self.unit}".rstrip()


def service(name: str, *, replicas: int = 1) -> Body:
    """Write an InferenceService on the example's server."""
    container = {
        "name": "kserve-container",
        "image": "localhost/custom-server:dev",
        "env": [{"name": "MULTI_MODEL_SERVER", "value": "true"}],
        "resources": {
            "requests": {"cpu": "50m", "memory": "256Mi"},
            "limits": {"cpu": "1", "memory": "2Gi"},
        },
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"predictor": {"minReplicas": replicas, "containers": [container]}},
    }


def trained_model(name: str, server: str, artifact: str = "") -> Body:
    """Write a TrainedModel; its files are its own unless another artifact is named."""
    uri = f"s3://{BUCKET}/{artifact or name}"
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "inferenceService": server,
            "model": {"storageUri": uri, "framework": "custom", "memory": "1Mi"},
        },
    }


@contextmanager
def stage(services: Iterable[Body], artifacts: Sequence[str]) -> Iterator[None]:
    """Have the services ready, and an artifact of each name in the bucket; remove all after."""
    upload(artifacts)
    bodies = [*_surroundings(), *services]
    kubectl("apply", "--server-side", "-f", "-", text=json.dumps({
        "apiVersion": "v1", "kind": "List", "items": bodies,
    }))  # fmt: skip
    try:
        wait = ("wait", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=300s")
        kubectl(*wait, "inferenceservice", "--all")
        yield
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=true")


def upload(artifacts: Sequence[str], source: str = "model1-custom") -> None:
    """Put a trained model into the bucket under each name."""
    exports = run(sys.executable, "tests/cluster/s3.py")
    endpoint = re.findall(r"SHOAL_S3=(\S+)", exports)[-1]
    with tempfile.TemporaryDirectory() as folder:
        trained = Path(folder, "trained")
        run(sys.executable, "examples/custom-server/train.py", str(trained))
        content = (trained / source / "model.joblib").read_bytes()
        copies = Path(folder, "copies")
        for name in artifacts:
            (copies / name).mkdir(parents=True)
            (copies / name / "model.joblib").write_bytes(content)
        run(sys.executable, "examples/custom-server/upload.py", endpoint, BUCKET, str(copies))


def _surroundings() -> list[Body]:
    """Write the namespace, and how its bucket is reached."""
    annotations = {
        "serving.kserve.io/s3-endpoint": "versitygw.storage:9000",
        "serving.kserve.io/s3-usehttps": "0",
        "serving.kserve.io/s3-region": "us-east-1",
    }
    place = {"name": "store", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": place | {"annotations": annotations},
            "stringData": KEYS,
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": place | {"name": "default"},
            "secrets": [{"name": "store"}],
        },
    ]


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    """Have a client of the API server."""
    client = await Client.connect()
    try:
        yield client
    finally:
        await client.close()


async def create(client: Client, bodies: Iterable[Body]) -> None:
    """Create objects side by side."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(body: Body) -> None:
        async with slots:
            await client.create(body)

    await asyncio.gather(*map(one, bodies))


async def until_loaded(client: Client, models: int) -> None:
    """Wait until the services report that many models loaded, all in all."""
    await until(lambda: loaded(client), lambda loaded: loaded == models)


async def until_ready(client: Client, models: int) -> None:
    """Wait until that many TrainedModels are Ready."""
    pause = POLL_SECONDS + models / 5000  # a list of thousands costs the API server something
    await until(lambda: ready(client), lambda ready: ready == models, pause=pause)


async def until(
    ask: Callable[[], Awaitable[Any]],
    good: Callable[[Any], bool],
    *,
    pause: float = POLL_SECONDS,
) -> None:
    """Ask again and again until the answer is good."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while not good(await ask()):  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(pause)


async def loaded(client: Client) -> int:
    """Count the models that the services report loaded."""
    bodies = await client.list(kinds.INFERENCE_SERVICE, NAMESPACE)
    counts = [body.get("status", {}).get("models", {}).get("loaded", 0) for body in bodies]
    return sum(map(int, counts))


async def ready(client: Client) -> int:
    """Count the models that are Ready."""
    return sum(map(is_ready, await client.list(kinds.TRAINED_MODEL, NAMESPACE)))


def is_ready(body: Body) -> bool:
    """Tell whether an object's Ready is True."""
    rows = body.get("status", {}).get("conditions", ())
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)


def fresh_operator() -> None:
    """Start the operator anew: a process keeps most of the memory that it once needed."""
    kubectl("-n", SYSTEM, "delete", "pod", "-l", OPERATOR, "--wait=true")
    ready_operator()


def ready_operator() -> None:
    """Wait until every operator that is wanted is ready."""
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/shoal", "--timeout=120s")


def operator(metric: str) -> float:
    """Read a metric of the operator: the highest of its replicas."""
    return max(operators(metric))


def operators(metric: str) -> list[float]:
    """Read a metric of each replica of the operator that is ready; 0 where it has none yet."""
    return list(metrics(SYSTEM, OPERATOR, _OPERATOR_PORT, metric))


def agent(metric: str, server: str) -> float:
    """Read a metric of a service's agents: the highest of them."""
    label = f"serving.kserve.io/inferenceservice={server}"
    return max(metrics(NAMESPACE, label, _AGENT_PORT, metric))


def mebibytes(size: float) -> float:
    """Convert bytes."""
    return size / 2**20


def peak(pid: int) -> float:
    """Read the highest resident memory of a process so far in MiB; 0 where it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def metrics(namespace: str, selector: str, port: int, metric: str) -> Iterator[float]:
    """Read a metric of each ready pod that a selector matches; 0 where it has none yet."""
    pods = json.loads(kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json"))
    for pod in pods["items"]:
        if "deletionTimestamp" in pod["metadata"] or not is_ready(pod):
            continue
        address = pod["status"]["podIP"]
        with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(rf"^{re.escape(metric)} (\S+)", text, re.MULTILINE)
        yield float(found.group(1)) if found else 0.0  # a standby has made no passes


def note(program: str, rows: Sequence[Row]) -> int:
    """Print what a program measured, and keep it for the table of all; 1 if a target is missed."""
    NOTES.mkdir(parents=True, exist_ok=True)
    noted = {"at": time.strftime("%Y-%m-%d %H:%M"), "rows": [asdict(row) for row in rows]}
    (NOTES / f"{program}.json").write_text(json.dumps(noted, indent=1))
    show(rows)
    return int(any(row.is_missed for row in rows))


def show(rows: Iterable[Row]) -> None:
    """Print a table of what was measured beside its target."""
    sys.stdout.write(f"{'measure':66} {'measured':>12}   target\n")
    for row in rows:
        number = f"{row.measured:,.0f}" if row.measured >= _PLAIN else f"{row.measured:.3g}"
        measured = f"{number} {row.unit}".rstrip()
        missed = "  MISSED" * row.is_missed
        sys.stdout.write(f"{row.what:66} {measured:>12}   {row.target}{missed}\n")
    sys.stdout.flush()


def kubectl(*arguments: str, text: str = "") -> str:
    """Run kubectl and return its output."""
    return run("kubectl", *arguments, text=text)


def run(*command: str, text: str = "") -> str:
    """Run a command in the checkout; an error shows what it said."""
    done = subprocess.run(  # noqa: S603 - the commands are the benchmarks' own
        command, cwd=CHECKOUT, env={**os.environ, **KEYS}, input=text,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    return done.stdout
