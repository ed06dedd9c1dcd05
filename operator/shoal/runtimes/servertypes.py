"""What a kind of server needs to begin with one model, or as a host (contract §3.4).

A host is told to begin empty, because its agent loads the models. Its readiness says whether it
answers at all: `/v2/health/ready` of MLServer and Triton is 400 while any model loads, and
Triton's stays so after a bad one, which would take the pod out of the Service for a reason that
concerns one model. Models are the agent's own probe. See docs/runtimes.md.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final

from shoal import names

Container = Mapping[str, Any]

MLSERVER: Final = "mlserver"
TRITON: Final = "tritonserver"
SDK: Final = "kserve-sdk"
TORCHSERVE: Final = "torchserve"
TENSORFLOW: Final = "tensorflow-serving"
HUGGING_FACE: Final = "huggingfaceserver"
VLLM: Final = "vllmserver"
_LIVE: Final = "/v2/health/live"
_READY: Final = "/v2/health/ready"
_ENVELOPES: Final[Mapping[str, str]] = {"v2": "kservev2", "grpc-v2": "kservev2"}
_ENVELOPE: Final = "kserve"
_WORKERS: Final = "MLSERVER_PARALLEL_WORKERS"
_IMPLEMENTATION: Final = "MLSERVER_MODEL_IMPLEMENTATION"
_CLASSES: Final[Mapping[str, str]] = {
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
    "mlflow": "mlserver_mlflow.MLflowRuntime",
}
_PROTOCOL: Final = "PROTOCOL_VERSION"
_AT_STARTUP: Final = "MLSERVER_LOAD_MODELS_AT_STARTUP"
_SKLEARN: Final = "mlserver_sklearn.SKLearnModel"
# Quick to say ready; a server that is merely busy stays in the Service for half a minute.
_TIMES: Final[Mapping[str, int]] = {
    "timeoutSeconds": 5,
    "periodSeconds": 5,
    "successThreshold": 1,
    "failureThreshold": 6,
}


class Hosting(enum.Enum):
    """How a kind of server holds models that come and go while it runs."""

    WELL = "well"  # made for it, or nobody knows better
    POORLY = "poorly"  # begins without a model, but answers nobody while it loads one
    NEVER = "never"  # serves what it began with, and has no calls of V2's repository


_HOSTING: Final[Mapping[str, Hosting]] = {
    "sklearnserver": Hosting.POORLY,
    "xgbserver": Hosting.POORLY,
    "lgbserver": Hosting.POORLY,
    "pmmlserver": Hosting.NEVER,
    "paddleserver": Hosting.NEVER,
    "predictiveserver": Hosting.NEVER,
    "autogluonserver": Hosting.NEVER,
    TENSORFLOW: Hosting.NEVER,
    TORCHSERVE: Hosting.NEVER,
    HUGGING_FACE: Hosting.NEVER,
    VLLM: Hosting.NEVER,
}


def hosting(server_type: str) -> Hosting:
    """Tell whether a kind of server can hold many models; a server of one's own is trusted."""
    return _HOSTING.get(server_type, Hosting.WELL)


def labels(server_type: str, format_: str, protocol: str) -> dict[str, str]:
    """Make the labels that upstream adds to the service and its pods; runtimes quote them."""
    if server_type == MLSERVER:
        return {names.MODEL_CLASS_LABEL: _CLASSES.get(format_, _SKLEARN)}
    if server_type == TORCHSERVE:
        return {names.SERVICE_ENVELOPE_LABEL: _ENVELOPES.get(protocol, _ENVELOPE)}
    return {}


def of_protocol(server_type: str, container: Container, protocol: str) -> Container:
    """Tell TorchServe which protocol it is to speak; it cannot speak two."""
    if server_type != TORCHSERVE:
        return container
    env = _completed(container.get("env") or [], {_PROTOCOL: protocol})
    return {**container, "env": env}


def of_host(server_type: str, container: Container, given: Container, port: int) -> Container:
    """Complete the container of a host; `given` is the user's part of it."""
    made = dict(container)
    if server_type == MLSERVER:
        made["env"] = _mlserver(made.get("env") or [], given.get("env") or [])
    if server_type == TRITON:
        made["args"] = _with(made.get("args") or [], "--model-control-mode", "explicit")
    if not given.get("readinessProbe") and _is_unfit(made.get("readinessProbe")):
        made["readinessProbe"] = {**_handler(server_type, made, port), **_TIMES}
    return made


def of_one(server_type: str, container: Container, name: str, port: int) -> Container:
    """Complete the container of a server that begins with the one model of the service.

    Its readiness is the model's: a port that is open answers before MLServer has loaded.
    """
    made = dict(container)
    if server_type == MLSERVER:
        made["env"] = _completed(
            made.get("env") or [],
            {
                "MLSERVER_MODEL_NAME": name,
                "MLSERVER_MODEL_URI": names.MODEL_DIR,
                _AT_STARTUP: "true",  # our image begins empty, unless it is told not to
            },
        )
    if server_type == SDK:
        made["args"] = _with(made.get("args") or [], "--model_name", name)
    if server_type in {MLSERVER, TRITON} and not made.get("readinessProbe"):
        made["readinessProbe"] = {"httpGet": {"path": _READY, "port": port}, **_TIMES}
    return made


def _mlserver(env: list[Container], given: list[Container]) -> list[Container]:
    """Begin empty; MLServer ends at once where it is told a model's class but has no model."""
    own = {row["name"] for row in given}
    kept = [row for row in env if row["name"] != _IMPLEMENTATION or row["name"] in own]
    return _completed(kept, {_AT_STARTUP: "false"})


def _completed(env: list[Container], values: Mapping[str, str]) -> list[Container]:
    """Add the variables that nobody has set."""
    known = {row["name"] for row in env}
    return [*env, *({"name": k, "value": v} for k, v in values.items() if k not in known)]


def _with(args: list[str], option: str, value: str) -> list[str]:
    is_there = any(arg == option or arg.startswith(f"{option}=") for arg in args)
    return args if is_there else [*args, f"{option}={value}"]


def _is_unfit(probe: Container | None) -> bool:
    return not probe or bool((probe.get("httpGet") or {}).get("path") == _READY)


def _handler(server_type: str, container: Container, port: int) -> dict[str, Any]:
    """Ask whether the server lives, where it answers that while it loads; else for its port."""
    if server_type == TRITON or (server_type == MLSERVER and _has_workers(container)):
        return {"httpGet": {"path": _LIVE, "port": port}}
    return {"tcpSocket": {"port": port}}


def _has_workers(container: Container) -> bool:
    """Without workers MLServer loads in the very loop that answers."""
    env = {row["name"]: row.get("value", "") for row in container.get("env") or []}
    return bool(env.get(_WORKERS, "1") != "0")
