"""The model server of a predictor, whole: from containers of its own, or from a runtime.

Nothing that every pod gets is filled in yet; that is `desired`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shoal import names
from shoal.api.inferenceservices import InferenceService
from shoal.api.servingruntimes import Runtime
from shoal.errors import ReconcileError, StalledError
from shoal.reasons import Reason
from shoal.runtimes import (
    asks,
    images,
    merges,
    pins,
    placeholders,
    selections,
    servertypes,
)
from shoal.runtimes.asks import Ask
from shoal.runtimes.pins import Pin

Container = Mapping[str, Any]
Body = Mapping[str, Any]

V1: Final = selections.V1
V2: Final = asks.V2
_MULTI_MODEL_ENV: Final = "MULTI_MODEL_SERVER"
_PROTOCOL_ENV: Final = "PROTOCOL"
# Of a Deployment's annotations those that its controller writes.
_FOREIGN: Final = "deployment.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Server:
    """What the predictor's pods run.

    `path` is the field that describes the server's container, for messages. `pod` has the
    other fields of the PodSpec. Labels and annotations are the runtime's; the user's win.
    `takes_models` tells that TrainedModels are expected before any is there (contract §5.1),
    `holds_one` that it can never take any.
    `pin` is what the Deployment is to record; `concern` is what is wrong with the runtime of
    a service that runs; `kept` is a Deployment that cannot be made anew.
    """

    containers: tuple[Container, ...]
    path: str
    pod: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    protocol: str = V2
    takes_models: bool = False
    holds_one: bool = False
    pin: Pin | None = None
    concern: ReconcileError | None = None
    kept: Body | None = None

    @property
    def index(self) -> int:
        """Which container is the model server: that of the known name, else the first."""
        return server_index(self.containers)

    @property
    def container(self) -> Container:
        """The model server's container."""
        return self.containers[self.index]


def server_index(containers: Sequence[Container]) -> int:
    """Find the model server: the container of the known name, else the first one."""
    for index, one in enumerate(containers):
        if one.get("name") == names.PREDICTOR_CONTAINER:
            return index
    return 0


def server_port(container: Container) -> int:
    """Find the port at which a server answers HTTP: its first that is not gRPC's, else 8080."""
    ports = container.get("ports") or []
    plain = [row for row in ports if not is_grpc(row.get("name") or "")] or ports
    return int(plain[0]["containerPort"]) if plain else names.DEFAULT_SERVER_PORT


def is_grpc(port_name: str) -> bool:
    """Tell gRPC's ports by their name, as upstream does (contract §2.6)."""
    return "grpc" in port_name or "h2c" in port_name


def known_protocol(service: InferenceService, deployment: Body | None) -> str:
    """Tell which protocol is spoken, without a runtime at hand; "" where that is not known."""
    if not service.predictor.framework_specs():
        return _own_protocol(service.predictor.containers)
    pin = pins.decode(deployment)
    return pin.protocol if pin else ""


def resolve(
    service: InferenceService,
    digest: str,
    runtimes: Sequence[Runtime],
    deployment: Body | None,
) -> Server:
    """Resolve the predictor.

    Args:
        service: whose predictor it is.
        digest: `pins.digest` of it.
        runtimes: those of the namespace and of the cluster.
        deployment: as it is now; it records the runtime that the service is on.

    Raises:
        StalledError: there is no container, no runtime, or one that cannot be used.
    """
    ask = asks.of(service.predictor)
    if ask is None:
        return _own(service)
    held = pins.decode(deployment)
    pin = held if held and held.digest == digest else None
    choice = selections.choose(ask, runtimes, pin)
    if choice.runtime is None:
        return _kept(ask.path, deployment or {}, choice.concern)
    return _made(service, ask, choice.runtime, digest, choice.concern)


def _own(service: InferenceService) -> Server:
    users = service.predictor.containers
    if not users:
        raise StalledError(
            Reason.INVALID_PREDICTOR_SPEC,
            "spec.predictor.containers: there is none; give one container that serves models",
        )
    index = server_index(users)
    env = users[index].get("env") or []
    marks = (row.get("name") == _MULTI_MODEL_ENV and row.get("value") == "true" for row in env)
    return Server(
        containers=tuple(users),
        path=f"spec.predictor.containers[{index}]",
        pod=_without_containers(service.predictor.pod),
        protocol=_own_protocol(users),
        takes_models=any(marks),
    )


def _own_protocol(users: Sequence[Container]) -> str:
    """Tell which protocol the user's container speaks: v2 unless PROTOCOL says v1 (W1)."""
    env = (users[server_index(users)].get("env") or []) if users else []
    values = [row.get("value") for row in env if row.get("name") == _PROTOCOL_ENV]
    return V1 if values[-1:] == [V1] else V2


def held(server: Server, deployment: Body) -> Server:
    """Read the server back from the Deployment: its pods are not to be made anew for now."""
    kept = _kept(server.path, deployment, server.concern)
    protocol = kept.protocol if kept.pin else server.protocol
    return replace(kept, protocol=protocol, takes_models=server.takes_models)


def _kept(path: str, deployment: Body, concern: ReconcileError | None) -> Server:
    """Read the server back from the Deployment: its runtime is gone, its pods go on."""
    meta, pod = deployment["metadata"], deployment["spec"]["template"]["spec"]
    annotations = {
        key: value
        for key, value in (meta.get("annotations") or {}).items()
        if not key.startswith(_FOREIGN)
    }
    pin = pins.decode(deployment)
    was_host = annotations.get(names.AGENT_ANNOTATION) == "true"
    return Server(
        containers=tuple(box for box in pod["containers"] if box["name"] != names.AGENT_CONTAINER),
        path=path,
        labels=meta.get("labels") or {},
        annotations={key: annotations[key] for key in annotations.keys() - pins.KEYS},
        protocol=pin.protocol if pin else V2,
        takes_models=was_host,
        holds_one=not was_host,
        pin=pin,
        concern=concern,
        kept=deployment,
    )


def _made(
    service: InferenceService,
    ask: Ask,
    runtime: Runtime,
    digest: str,
    concern: ReconcileError | None,
) -> Server:
    protocol = selections.protocol(ask, runtime) or V2
    kind = runtime.server_type
    labels = servertypes.labels(kind, ask.format, protocol)
    values = _values(service, ask, labels)
    base = _filled(runtime, _server_of(runtime), values)
    given = placeholders.fill(ask.spec.container, values)
    server = _merged(runtime, ask, base, given)
    if server.get("image"):
        server["image"] = images.of(server, kind, ask.spec.runtime_version or "")
    made = servertypes.of_protocol(kind, server, protocol)
    holds_one = servertypes.hosting(kind) is servertypes.Hosting.NEVER
    if ask.is_host and not holds_one:
        made = servertypes.of_host(kind, made, given, server_port(server))
    else:
        made = servertypes.of_one(kind, made, service.metadata.name, server_port(server))
    spec = runtime.spec
    return Server(
        containers=(made, *_others(service, runtime, values)),
        path=ask.path,
        pod=_pod(runtime, service),
        labels={**(spec.labels or {}), **labels},
        annotations=spec.annotations or {},
        protocol=protocol,
        takes_models=ask.is_host and not holds_one,
        holds_one=holds_one or not ask.is_host,
        pin=Pin(runtime.kind, runtime.name, digest, protocol),
        concern=concern,
    )


def _values(service: InferenceService, ask: Ask, labels: Mapping[str, str]) -> dict[str, Any]:
    meta = service.metadata
    return {
        "Name": meta.name,
        "Namespace": meta.namespace,
        "Labels": {**labels, **meta.labels},
        "Annotations": {names.MODEL_FORMAT_ANNOTATION: ask.format, **meta.annotations},
    }


def _server_of(runtime: Runtime) -> Container:
    boxes = runtime.spec.containers
    if not boxes:
        raise _unfit(runtime, "no container configuration found in selected serving runtime")
    for box in boxes:
        if box.get("name") == names.PREDICTOR_CONTAINER:
            return box
    raise _unfit(runtime, "failed to find kserve-container in ServingRuntime containers")


def _filled(runtime: Runtime, box: Container, values: Mapping[str, Any]) -> Container:
    if field_ := placeholders.unknown(box):
        raise _unfit(
            runtime,
            f"failed to replace placeholders in serving runtime {runtime.name} Container"
            f" {box.get('name')}: there is no {field_}",
        )
    filled: Container = placeholders.fill(box, values)
    return filled


def _merged(runtime: Runtime, ask: Ask, base: Container, given: Container) -> dict[str, Any]:
    try:
        return merges.containers(base, {**given, "name": names.PREDICTOR_CONTAINER})
    except ValueError as error:
        raise StalledError(
            Reason.INVALID_PREDICTOR_SPEC,
            f"failed to merge container. Detail: {ask.path} over {runtime.title}: {error}",
        ) from error


def _others(
    service: InferenceService, runtime: Runtime, values: Mapping[str, Any]
) -> list[Container]:
    """Merge the further containers by name: a transformer first, the runtime's, the user's."""
    users = {box.get("name"): box for box in service.predictor.containers}
    made: dict[str, Container] = {}
    for box in runtime.spec.containers:
        name = box.get("name", "")
        if name != names.PREDICTOR_CONTAINER:
            made[name] = merges.containers(box, users.pop(name)) if name in users else box
    made |= {str(name): box for name, box in users.items()}
    if transformer := made.pop(names.TRANSFORMER_CONTAINER, None):
        return [placeholders.fill(transformer, values), *made.values()]
    return list(made.values())


def _pod(runtime: Runtime, service: InferenceService) -> dict[str, Any]:
    return merges.pods(
        _without_containers(runtime.spec.pod), _without_containers(service.predictor.pod)
    )


def _without_containers(pod: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in pod.items() if key != "containers"}


def _unfit(runtime: Runtime, what: str) -> StalledError:
    return StalledError(Reason.INVALID_PREDICTOR_SPEC, f"{what}; correct {runtime.title}")
