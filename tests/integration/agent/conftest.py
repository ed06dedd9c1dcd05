import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster import binaries
from shoal.modelconfig import Model
from support.agentrigs import ACCESS_KEY, SECRET_KEY, Agent, Bucket, ModelServer, artefact, until
from support.namespaces import Namespace


@dataclass
class Rig:
    """One replica: an agent, its model server and a bucket."""

    agent: Agent
    server: ModelServer
    bucket: Bucket

    def upload(self, name: str, value: float | bytes) -> Model:
        """Upload a model that predicts `value`, or these bytes; return the wish for it."""
        content = value if isinstance(value, bytes) else artefact(value)
        self.bucket.put(f"{name}/model.joblib", content)
        return Model(name, f"s3://models/{name}", "sklearn", "1Mi")

    def start(self, *models: Model) -> None:
        """Start server and agent with these wishes."""
        self.agent.want_by_file(*models)
        self.server.start()
        self.agent.start()


MakeRig = Callable[..., Rig]


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    folder = tmp_path / "bucket"
    made = Bucket.make(binaries.ensure("versitygw") / "versitygw", folder)
    yield made
    made.process.end()


@pytest.fixture
def make_rig(tmp_path: Path, bucket: Bucket) -> Iterator[MakeRig]:
    """Make rigs; by default their agents read the mounted file, and keys from the environment."""
    rigs: list[Rig] = []

    def make(**environ: str) -> Rig:
        folder = tmp_path / f"replica-{len(rigs)}"
        (folder / "models").mkdir(parents=True)
        server = ModelServer.make(folder / "models", folder / "server.log")
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        keys |= {"AWS_ENDPOINT_URL": bucket.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
        rigs.append(Rig(Agent.make(folder, server.port, keys | environ), server, bucket))
        return rigs[-1]

    yield make
    for rig in rigs:
        code = rig.agent.process.end(signal.SIGTERM)
        rig.server.process.end()
        assert code in {0, -signal.SIGKILL}, rig.agent.tail()


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    return make_rig()


@pytest.fixture
def namespace(api_server: Any, tmp_path: Path) -> Iterator[Namespace]:
    name = f"ns-{time.time_ns()}"
    done = api_server.kubectl("create", "namespace", name)
    assert done.returncode == 0, done.stderr
    # What tests apply to it is not to meet its making.
    account = ("get", "serviceaccount", "default", "--namespace", name)
    until(lambda: api_server.kubectl(*account).returncode == 0)
    yield Namespace(api_server, name, tmp_path / "token")
    api_server.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def api_rig(namespace: Namespace, make_rig: MakeRig) -> Rig:
    namespace.account("aws")
    namespace.grant("aws", "none")
    made_rig = make_rig(**namespace.log_in())
    made_rig.server.start()
    return made_rig
