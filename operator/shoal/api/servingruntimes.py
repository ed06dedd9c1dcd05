"""ServingRuntime and ClusterServingRuntime (contract §1.5, §6.3): how a model format is served."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, WithJsonSchema

from shoal import names
from shoal.api import podspecs
from shoal.api.components import Parallelism
from shoal.api.fields import Fields, Int32, Int64, Raw, Rule, rules, validate
from shoal.api.meta import Metadata

KIND: Final = "ServingRuntime"
CLUSTER_KIND: Final = "ClusterServingRuntime"
_KNOWN: Final = frozenset(
    {
        "kserve-mlserver",
        "kserve-torchserve",
        "kserve-tritonserver",
        "kserve-tensorflow-serving",
        "kserve-huggingfaceserver",
        "kserve-vllmserver",
    }
)
_ONE_WORKER: Final = Rule("self.containers.size() <= 1", "only one worker container is allowed")
_SAME_PRIORITY: Final = Rule(
    "(has(self.disabled) && self.disabled) || !has(self.supportedModelFormats)"
    " || self.supportedModelFormats.filter(f, f.?autoSelect.orValue(false))"
    ".all(f, self.supportedModelFormats.filter(g, g.?autoSelect.orValue(false)"
    " && g.name == f.name).all(g, g.?priority.orValue(0) == f.?priority.orValue(0)))",
    "different priorities assigned for one model format",
)


class SupportedModelFormat(Fields):
    """A model format that the runtime serves."""

    name: Annotated[str, Field(max_length=253)]
    """The format, such as sklearn."""

    version: str | None = None
    """Its version, such as 1."""

    auto_select: bool | None = None
    """Whether the runtime may be chosen for a model that names no runtime."""

    priority: Annotated[Int32, Rule("self >= 1", "must be at least 1")] | None = None
    """Among runtimes that fit, the highest is chosen."""


class StorageHelper(Fields):
    """Of ModelMesh; without effect."""

    disabled: bool | None = None
    """Of ModelMesh; without effect."""


class BuiltInAdapter(Fields):
    """Of ModelMesh; without effect."""

    server_type: str | None = None
    """Of ModelMesh; without effect."""

    runtime_management_port: Int32 | None = None
    """Of ModelMesh; without effect."""

    mem_buffer_bytes: Int64 | None = None
    """Of ModelMesh; without effect."""

    model_loading_timeout_millis: Int64 | None = None
    """Of ModelMesh; without effect."""

    env: Annotated[list[Raw], WithJsonSchema(podspecs.kubernetes(podspecs.ENVIRONMENT))] | None = (
        None
    )
    """Of ModelMesh; without effect."""


class RuntimePodSpec(Fields):
    """The parts of a core/v1 PodSpec that a runtime may give."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={podspecs.INLINE: podspecs.RUNTIME_POD}
    )

    labels: dict[str, str] | None = None
    """Labels of the pods."""

    annotations: dict[str, str] | None = None
    """Annotations of the pods."""

    @property
    def pod(self) -> Raw:
        """Every field of the core/v1 PodSpec, raw, as it was written."""
        extra = self.model_extra or {}
        return {key: extra[key] for key in extra if key in podspecs.POD_FIELDS}

    @property
    def containers(self) -> list[Raw]:
        """The containers, raw."""
        return list(self.pod.get("containers") or [])


class WorkerSpec(RuntimePodSpec, Parallelism):
    """The further pods of a server that spans several nodes."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            podspecs.INLINE: podspecs.RUNTIME_POD,
            "required": ["containers"],
            **rules(_ONE_WORKER),
        },
    )


class Spec(RuntimePodSpec):
    """Which formats are served, and by which containers."""

    model_config = ConfigDict(
        json_schema_extra={
            podspecs.INLINE: podspecs.RUNTIME_POD,
            "required": ["containers"],
            **rules(
                _SAME_PRIORITY,
                Rule(
                    "!has(oldSelf.workerSpec) || has(self.workerSpec)",
                    "workerSpec cannot be removed",
                ),
            ),
        }
    )

    supported_model_formats: (
        Annotated[list[SupportedModelFormat], Field(max_length=256)] | None
    ) = None
    """The formats that it serves."""

    multi_model: bool | None = None
    """Whether it is a runtime of ModelMesh, which no InferenceService uses here."""

    disabled: bool | None = None
    """Whether it is never used."""

    protocol_versions: list[str] | None = None
    """The protocols that it speaks; none given is any."""

    worker_spec: WorkerSpec | None = None
    """The further pods of a server that spans several nodes."""

    grpc_endpoint: str | None = None
    """Of ModelMesh; without effect."""

    grpc_data_endpoint: str | None = None
    """Of ModelMesh; without effect."""

    http_data_endpoint: str | None = None
    """Of ModelMesh; without effect."""

    replicas: Int32 | None = None
    """Of ModelMesh; without effect."""

    storage_helper: StorageHelper | None = None
    """Of ModelMesh; without effect."""

    built_in_adapter: BuiltInAdapter | None = None
    """Of ModelMesh; without effect."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A stored ServingRuntime or ClusterServingRuntime; `kind` tells which."""

    kind: str
    metadata: Metadata
    spec: Spec

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @property
    def title(self) -> str:
        """Its kind and name, for messages."""
        return f"{self.kind} {self.name}"

    @property
    def is_clusters(self) -> bool:
        """Whether it serves all namespaces."""
        return self.kind == CLUSTER_KIND

    @property
    def server_type(self) -> str:
        """What kind of server it runs: by its annotation, else by upstream's names (§3.4)."""
        given = self.metadata.annotations.get(names.SERVER_TYPE_ANNOTATION)
        return given or (self.name.removeprefix("kserve-") if self.name in _KNOWN else "")


def parse(body: Mapping[str, Any]) -> Runtime:
    """Read a stored ServingRuntime or ClusterServingRuntime.

    Raises:
        StalledError: a field is missing or wrong, with its path.
    """
    metadata = Metadata.parse(body)
    kind = str(body["kind"])
    spec = validate(Spec, body.get("spec") or {}, at=f"{kind} {metadata.name}: spec")
    return Runtime(kind, metadata, spec)


class Root(Fields):
    """How models of some formats are served: containers with placeholders."""

    spec: Spec
    """What it serves, and how."""
