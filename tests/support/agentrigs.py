"""The agent's neighbours as real processes: a bucket, a model server, the agent itself."""

import contextlib
import io
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
from obstore.store import S3Store
from sklearn.dummy import DummyRegressor

from shoal import modelconfig, modelstates
from shoal.modelconfig import Model
from shoal.modelstates import ModelState, Report

CHECKOUT = Path(__file__).resolve().parents[2]
ACCESS_KEY, SECRET_KEY = "shoal-access", "shoal-secret-key"
_SECONDS = 30.0


# Below those that the kernel gives to connections and to whoever asks for any, which could take
# a port before its server is up. Each process of the tests begins somewhere else.
_PORTS = range(10_000, 22_800)
_ORDER = itertools.islice(itertools.cycle(_PORTS), os.getpid() * 4001 % len(_PORTS), None)


def free_port() -> int:
    """Find a port that nobody listens on, and that is not soon given again."""
    for port in itertools.islice(_ORDER, len(_PORTS)):
        with socket.socket() as opened, contextlib.suppress(OSError):
            opened.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port of {_PORTS} is free")


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a connection is accepted."""
    with socket.socket() as opened:
        opened.settimeout(0.5)
        return opened.connect_ex((host, port)) == 0


def until(condition: Callable[[], object], seconds: float = _SECONDS) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def artefact(value: float) -> bytes:
    """Make a model that always predicts `value`."""
    sink = io.BytesIO()
    joblib.dump(DummyRegressor(strategy="constant", constant=value).fit([[0.0]], [value]), sink)
    return sink.getvalue()


@dataclass
class Process:
    """One process, started and killed by its id; its output goes to a file."""

    argv: list[str]
    environ: dict[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as sink:
            self.running = subprocess.Popen(  # noqa: S603 - ours
                self.argv, env={**os.environ, **self.environ}, stdout=sink, stderr=sink
            )

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it, at once by default; return its exit code."""
        if self.running is None:
            return 0
        if self.running.poll() is None:
            self.running.send_signal(number)
        return self.running.wait(15)

    def resident_mib(self) -> float:
        """Read its resident memory."""
        assert self.running is not None
        text = Path(f"/proc/{self.running.pid}/status").read_text()
        row = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(row.split()[1]) / 1024


@dataclass
class Bucket:
    """A versitygw over a folder; bucket `models`."""

    process: Process
    port: int

    @classmethod
    def make(cls, program: Path, folder: Path) -> "Bucket":
        """Start it."""
        (folder / "data" / "models").mkdir(parents=True)
        port = free_port()
        argv = [str(program), "--port", f"127.0.0.1:{port}", "--quiet"]
        argv += ["posix", "--nometa", str(folder / "data")]
        keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        bucket = cls(Process(argv, keys, folder / "versitygw.log"), port)
        bucket.start()
        return bucket

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, or start it again."""
        self.process.start()
        until(lambda: listens(self.port))

    def put(self, key: str, content: bytes) -> None:
        """Upload an object."""
        self._store().put(key, content)

    def place(self, key: str, content: bytes) -> None:
        """Have an object that is too large for one upload."""
        path = self.process.log.parent / "data" / "models" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._store().delete(key)

    def _store(self) -> S3Store:
        return S3Store(
            "models",
            config={
                "endpoint": self.endpoint,
                "region": "us-east-1",
                "access_key_id": ACCESS_KEY,
                "secret_access_key": SECRET_KEY,
            },
            client_options={"allow_http": True},
        )

    def secret(self, secret_key: str = SECRET_KEY) -> dict[str, Any]:
        """Make the Secret's content that users write for it."""
        prefix = "serving.kserve.io/s3-"
        return {
            "annotations": {
                f"{prefix}endpoint": f"127.0.0.1:{self.port}",
                f"{prefix}usehttps": "0",
                f"{prefix}region": "us-east-1",
            },
            "data": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": secret_key},
        }


@dataclass
class ModelServer:
    """The example's own model server."""

    process: Process
    port: int

    @classmethod
    def make(cls, models: Path, log: Path) -> "ModelServer":
        """Make it; it is not started."""
        port = free_port()
        argv = [sys.executable, str(CHECKOUT / "examples" / "custom-server" / "server.py")]
        environ = {"MODEL_DIR": str(models), "PORT": str(port), "DRAIN_SECONDS": "0"}
        return cls(Process(argv, environ, log), port)

    def start(self) -> None:
        """Start it, and wait for it."""
        self.process.start()
        until(lambda: listens(self.port))

    def predict(self, model: str) -> float | None:
        """Ask a model; None when it does not answer with 200."""
        tensor = {"name": "input-0", "shape": [1], "datatype": "FP32", "data": [1.0]}
        body = json.dumps({"inputs": [tensor]}).encode()
        try:
            answer = post(f"http://127.0.0.1:{self.port}/v2/models/{model}/infer", body)
        except OSError:
            return None
        value: float = json.loads(answer)["outputs"][0]["data"][0]
        return value

    def loads(self) -> int:
        """Count the loads that it was asked for."""
        return self.process.log.read_text().count("/load HTTP")


@dataclass
class Agent:
    """`shoal agent`, and what it reports."""

    process: Process
    port: int
    folder: Path
    config: Path
    seen: Report = field(default_factory=lambda: Report("", settled=False, config="", models={}))
    host: str = "127.0.0.1"

    @classmethod
    def make(cls, folder: Path, server_port: int, environ: Mapping[str, str]) -> "Agent":
        """Make it; it is not started. Without more in `environ` it reads the mounted file."""
        host = environ.get("SHOAL_ADMIN_HOST", "127.0.0.1")
        port = int(environ.get("SHOAL_ADMIN_PORT", "") or free_port())
        config = folder / "configs"
        config.mkdir()
        whole = {
            "PYTHONPATH": str(CHECKOUT / "operator"),
            "SHOAL_NAMESPACE": "default",
            "SHOAL_INFERENCE_SERVICE": "svc",
            "SHOAL_POD_NAME": "pod-0",
            "SHOAL_CONFIG_DIR": str(config),
            "SHOAL_MODEL_DIR": str(folder / "models"),
            "SHOAL_STORE_DIR": str(folder / "store"),
            "SHOAL_SERVER_URL": f"http://127.0.0.1:{server_port}",
            "SHOAL_ADMIN_HOST": host,
            "SHOAL_ADMIN_PORT": str(port),
            "SHOAL_API_URL": "http://127.0.0.1:9",
            "SHOAL_TOKEN_DIR": str(folder / "token"),
        }
        argv = [sys.executable, "-X", "dev", "-m", "shoal", "agent"]
        if "SHOAL_MEASURE" in environ:
            argv = [sys.executable, "-m", "shoal", "agent"]
        process = Process(argv, {**whole, **environ}, folder / "agent.log")
        return cls(process, port, folder, config, host=host)

    def start(self) -> None:
        """Start it, and wait for its port."""
        self.process.start()
        until(lambda: listens(self.port, self.host))

    def want_by_file(self, *models: Model) -> None:
        """Write the mounted ConfigMap."""
        target = self.config / "models.json"
        temporary = target.with_suffix(".new")
        temporary.write_text(modelconfig.encode(models)["models.json"])
        temporary.rename(target)

    def status(self, path: str) -> int:
        """Ask a probe."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}") as answer:
                code: int = answer.status
                return code
        except urllib.error.HTTPError as error:
            return error.code

    def report(self, after: str = "", wait: float = 0) -> Report:
        """Read the states."""
        url = f"http://{self.host}:{self.port}/v1/states?after={after}&wait={wait}"
        with urllib.request.urlopen(url) as answer:
            self.seen = modelstates.decode(answer.read().decode())
        return self.seen

    def reports(self, seconds: float = _SECONDS) -> Iterator[Report]:
        """Follow the states by long-poll, for at most `seconds`."""
        deadline = time.monotonic() + seconds
        after = ""
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s; last: {self.seen}\n{self.tail()}"
            report = self.report(after, left)
            after = report.cursor
            yield report

    def see(self, condition: Callable[[Report], bool], seconds: float = _SECONDS) -> Report:
        """Wait until a report is as told."""
        return next(report for report in self.reports(seconds) if condition(report))

    def state(
        self, model: str, condition: Callable[[ModelState], bool], seconds: float = _SECONDS
    ) -> ModelState:
        """Wait until one model's state is as told."""
        report = self.see(
            lambda seen: model in seen.models and condition(seen.models[model]), seconds
        )
        return report.models[model]

    def loaded(self, *models: Model, seconds: float = _SECONDS) -> Report:
        """Wait until exactly these models are there, loaded as wanted."""
        wanted = {model.name: model.digest for model in models}
        return self.see(
            lambda seen: {name: state.loaded for name, state in seen.models.items()} == wanted,
            seconds,
        )

    def tail(self) -> str:
        """Show the end of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.process.log.read_text().splitlines()[-30:])
        return ""

    def lines(self) -> list[dict[str, Any]]:
        """Read its log."""
        return [json.loads(line) for line in self.process.log.read_text().splitlines()]


def post(url: str, body: bytes) -> bytes:
    """Send a body; errors of HTTP are OSErrors."""
    with urllib.request.urlopen(url, data=body, timeout=10) as answer:  # noqa: S310 - loopback
        content: bytes = answer.read()
        return content


def program(name: str, folder: Path) -> Path:
    """Find a command in a folder or on PATH."""
    found = shutil.which(name, path=f"{folder}:{os.environ['PATH']}")
    assert found, f"{name} is neither in {folder} nor on PATH"
    return Path(found)
