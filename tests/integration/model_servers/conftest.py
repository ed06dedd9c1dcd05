import asyncio
import contextlib
import json
import signal
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster import binaries
from shoal.agent import servers
from shoal.modelconfig import Model
from support.agentrigs import ACCESS_KEY, SECRET_KEY, Agent, Bucket, Process, free_port, until
from support.serverkinds import KINDS, Files, ServerKind
from support.traffic import Client, Door


@dataclass
class Rig:
    """One replica with a real model server: what is wanted is kept, and added to."""

    kind: ServerKind
    agent: Agent
    server: Process
    port: int
    bucket: Bucket
    wanted: dict[str, Model] = field(default_factory=dict)

    def upload(self, folder: str, files: Files) -> str:
        """Put a model into the bucket; return its address."""
        for path, content in files.items():
            self.bucket.put(f"{folder}/{path}", content)
        return f"s3://models/{folder}"

    def good(self, folder: str, value: float, seconds: float = 0) -> str:
        """Put a model that answers `value` and takes `seconds` to load into the bucket."""
        return self.upload(folder, self.kind.make(value, seconds))

    def bad(self, folder: str) -> str:
        """Put a model that cannot be loaded into the bucket."""
        return self.upload(folder, self.kind.bad)

    def want(self, name: str, uri: str) -> Model:
        """Wish for a model, beside the others."""
        self.wanted[name] = Model(name, uri, self.kind.framework, "1Mi")
        self.tell()
        return self.wanted[name]

    def drop(self, *names: str) -> None:
        """Wish for these no more."""
        for name in names:
            self.wanted.pop(name, None)
        self.tell()

    def tell(self) -> None:
        """Write down what is wanted."""
        self.agent.want_by_file(*self.wanted.values())

    def have(self, *names: str) -> None:
        """Wait until these are loaded as wanted."""
        for name in names:
            digest = self.wanted[name].digest
            self.agent.state(name, lambda seen, digest=digest: seen.loaded == digest, 40)

    def door(self, name: str) -> Door:
        """Make the door that users take to a model."""
        return Door(f"127.0.0.1:{self.port}", "server", name)

    def client(self, name: str) -> Client:
        """Make a client of a model."""
        return Client(self.door(name), pause=0.01)

    def start_server(self) -> None:
        """Start the model server."""
        self.server.start()
        until(lambda: lives(self.port), 40)


def lives(port: int) -> bool:
    """Tell whether a server answers."""
    url = f"http://127.0.0.1:{port}/v2/health/live"
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass
class Bare:
    """A model server alone, over a folder of models."""

    process: Process
    port: int
    models: Path

    def load(self, name: str) -> str:
        """Load as the agent does; return what it would report of a failure."""

        async def load() -> str:
            server = servers.Server(f"http://127.0.0.1:{self.port}", 30)
            try:
                await server.load(name)
            except servers.ServerRefusedError as error:
                return error.message
            finally:
                await server.close()
            return ""

        return asyncio.run(load())

    def ask(self, name: str, value: float) -> float | None:
        """Ask a model of one feature."""
        tensor = {"name": "input-0", "shape": [1, 1], "datatype": "FP32", "data": [value]}
        url = f"http://127.0.0.1:{self.port}/v2/models/{name}/infer"
        request = urllib.request.Request(
            url, json.dumps({"inputs": [tensor]}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            found: float = json.loads(answer.read())["outputs"][0]["data"][0]
            return found


@contextlib.contextmanager
def bare(kind: ServerKind, folder: Path) -> Iterator[Bare]:
    """Run a server alone."""
    models, port = folder / "models", free_port()
    models.mkdir(parents=True)
    argv, environ = kind.command(models, port)
    process = Process(argv, environ, folder / "server.log")
    process.start()
    try:
        until(lambda: lives(port), 40)
        yield Bare(process, port, models)
    finally:
        process.end()


def _make(kind: ServerKind, folder: Path) -> Rig:
    (folder / "models").mkdir(parents=True)
    port = free_port()
    argv, environ = kind.command(folder / "models", port)
    server = Process(argv, environ, folder / "server.log")
    bucket = Bucket.make(binaries.ensure("versitygw") / "versitygw", folder / "bucket")
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    keys |= {"AWS_ENDPOINT_URL": bucket.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    agent = Agent.make(folder, port, keys)
    return Rig(kind, agent, server, port, bucket)


@pytest.fixture(scope="module", params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A replica for each kind of server, with model `steady` loaded, which answers 7."""
    made = _make(KINDS[request.param], tmp_path_factory.mktemp(request.param))
    made.start_server()
    made.want("steady", made.good("steady", 7.0))
    made.agent.start()
    made.have("steady")
    yield made
    code = made.agent.process.end(signal.SIGTERM)
    made.server.end()
    made.bucket.process.end()
    assert code == 0, made.agent.tail()
