"""The model servers that Shoal is tested with: how each is started, and what it loads.

Every model answers one number, so that an answer tells which version gave it.
"""

import os
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support import serverenvs
from support.agentrigs import CHECKOUT, artefact, free_port

Files = dict[str, bytes]
_SERVERS = CHECKOUT / "servers"

_CONFIG = b"""backend: "python"
max_batch_size: 0
input [{ name: "input-0" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "output-0" data_type: TYPE_FP32 dims: [ -1 ] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""
_MODEL = """import time
import numpy as np
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def initialize(self, args):
        {first}
    def execute(self, requests):
        answer = np.array([{value}], dtype=np.float32)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("output-0", answer)]) for _ in requests
        ]
"""


class _Slow:
    """Takes its time to be unpickled, as a large model does."""

    def __init__(self, value: float, seconds: float) -> None:
        inner = artefact(value)
        self._code = (
            f"(__import__('time').sleep({seconds}),"
            f" __import__('joblib').load(__import__('io').BytesIO({inner!r})))[1]"
        )

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return eval, (self._code,)


def joblib_model(value: float, seconds: float = 0) -> Files:
    """Make a scikit-learn model."""
    return {"model.joblib": pickle.dumps(_Slow(value, seconds)) if seconds else artefact(value)}


def triton_model(value: float, seconds: float = 0) -> Files:
    """Make a model for Triton's python backend."""
    return _triton(value, f"time.sleep({seconds})")


def _triton(value: float, first: str) -> Files:
    code = _MODEL.format(value=value, first=first)
    return {"config.pbtxt": _CONFIG, "1/model.py": code.encode()}


@dataclass(frozen=True)
class ServerKind:
    """One kind of model server; `{models}` and `{port}` stand for what differs."""

    name: str
    framework: str
    argv: tuple[str, ...]
    make: Callable[..., Files]  # value, seconds to load
    bad: Files
    words: str  # what it says of the bad one
    environ: Mapping[str, str] = field(default_factory=dict)

    def command(self, models: Path, port: int) -> tuple[list[str], dict[str, str]]:
        """Write the command and its environment."""
        known = {"models": models, "port": port}
        known |= {f"other{number}": free_port() for number in (1, 2)}
        if self.name in serverenvs.NAMES:
            known["bin"] = serverenvs.ensure(self.name)
        argv = [word.format(**known) for word in self.argv]
        environ = {key: value.format(**known) for key, value in self.environ.items()}
        return argv, {"PATH": os.environ["PATH"], **environ}


_JUNK = {"model.joblib": b"this was never a model"}
KINDS = {
    kind.name: kind
    for kind in (
        ServerKind(
            "custom",
            "sklearn",
            (sys.executable, str(CHECKOUT / "examples" / "custom-server" / "server.py")),
            joblib_model,
            _JUNK,
            "model.joblib: IndexError: pop from empty list",
            {"MODEL_DIR": "{models}", "PORT": "{port}", "DRAIN_SECONDS": "0"},
        ),
        ServerKind(
            "mlserver",
            "sklearn",
            ("{bin}/mlserver", "start", "{models}"),
            joblib_model,
            _JUNK,
            "model.joblib: IndexError: pop from empty list",
            {
                "PYTHONPATH": str(_SERVERS / "mlserver"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "shoal_mlserver.AgentLayoutRepository",
                "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
                "MLSERVER_PARALLEL_WORKERS": "0",
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_HTTP_PORT": "{port}",
                "MLSERVER_GRPC_PORT": "{other1}",
                "MLSERVER_METRICS_PORT": "{other2}",
            },
        ),
        ServerKind(
            "triton",
            "triton",
            (
                *("{bin}/tritonserver", "--model-repository={models}", "--http-port={port}"),
                *("--grpc-port={other1}", "--metrics-port={other2}"),
                *("--model-control-mode=explicit", "--strict-readiness=false"),
                *("--disable-auto-complete-config", "--http-address=127.0.0.1"),
            ),
            triton_model,
            _triton(0, 'raise ValueError("no weights in here")'),
            "ValueError: no weights in here",
        ),
        ServerKind(
            "kserve-sdk",
            "sklearn",
            (
                *("{bin}/python", str(_SERVERS / "kserve-sdk" / "server.py")),
                *("--model_dir={models}", "--http_port={port}", "--enable_grpc=false"),
            ),
            joblib_model,
            _JUNK,
            "model.joblib: IndexError: pop from empty list",
            {"PYTHONDONTWRITEBYTECODE": "1"},
        ),
    )
}
