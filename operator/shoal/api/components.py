"""What predictor, transformer and explainer have in common (contract §1.2)."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from shoal import names
from shoal.api import isvcrules, podspecs
from shoal.api.fields import Fields, Int32, Int64, Quantity, Raw, Rule, Shape, rules

StringMap = dict[str, str]


class ModelStorageSpec(Fields):
    """A place of an object store, by key of the storage Secret."""

    path: str | None = None
    """Path in the store, in place of a storageUri."""

    parameters: StringMap | None = None
    """Overrides of the Secret's entry, such as type, bucket and region."""

    key: str | None = None
    """Entry of the Secret `storage-config`; without it, `default` or `default_<type>`."""

    schema_path: str | None = None
    """Path of the model's schema file in the store."""


class LoggerStorageSpec(Fields):
    """An object store that the logger writes to."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "has(self.path) && has(self.parameters) && has(self.key)",
                "invalid logger storage configuration: path, parameters and key are needed",
            )
        )
    )

    path: str | None = None
    """Path in the store."""

    parameters: StringMap | None = None
    """Overrides of the Secret's entry, such as type, bucket and region."""

    key: str | None = None
    """Entry of the storage Secret."""

    service_account_name: str | None = None
    """ServiceAccount whose credentials write."""


class LoggerSpec(Fields):
    """Copies of requests and responses, sent elsewhere as CloudEvents."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule("has(self.mode)", "invalid logger type: mode must be all, request or response")
        )
    )

    url: str | None = None
    """Where the events go; without it, the default sink of the installation."""

    mode: Literal["all", "request", "response"] | None = None
    """What is logged: all, request or response."""

    metadata_headers: list[str] | None = None
    """Request headers that are copied into the event."""

    metadata_annotations: list[str] | None = None
    """Annotations of the pod that are copied into the event."""

    storage: LoggerStorageSpec | None = None
    """An object store to write to, in place of a URL."""

    marshaller_url: str | None = None
    """A service that turns events into what is stored."""

    batch_size: Int32 | None = None
    """How many events are stored in one object."""

    batch_interval: str | None = None
    """The longest time that an event waits for others, such as 5s."""


class Batcher(Fields):
    """Requests gathered into one call of the model server."""

    max_batch_size: Int32 | None = None
    """The most instances in one call."""

    max_latency: Int32 | None = None
    """The longest time in milliseconds that a request waits for others."""

    timeout: Int32 | None = None
    """Without effect; kept for manifests that have it."""


class MetricTarget(Fields):
    """The value that autoscaling keeps a metric at."""

    type: Literal["Utilization", "Value", "AverageValue"] | None = None
    """Utilization, Value or AverageValue."""

    value: Quantity | None = None
    """The value of the metric over all replicas."""

    average_value: Quantity | None = None
    """The value of the metric for each replica."""

    average_utilization: Int32 | None = None
    """Percent of the request of the resource."""


class ResourceMetricSource(Fields):
    """A resource of the pods."""

    name: Literal["cpu", "memory"]
    """cpu or memory."""

    target: MetricTarget
    """The value to keep."""


class ExternalMetrics(Fields):
    """A query of a metrics server."""

    backend: Literal["prometheus", "graphite"] | None = None
    """prometheus or graphite."""

    server_address: str | None = None
    """URL of the server."""

    query: str | None = None
    """The query whose result is scaled on."""

    namespace: str | None = None
    """Namespace of the query, for servers with tenants."""


class AuthenticationReference(Fields):
    """A TriggerAuthentication of KEDA."""

    name: str
    """Its name."""


class ExternalAuthentication(Fields):
    """How a metrics server is logged in to."""

    auth_modes: str | None = None
    """Such as basic or bearer."""

    authentication_ref: AuthenticationReference | None = None
    """The credentials."""


class ExternalMetricSource(Fields):
    """A metric of a metrics server."""

    metric: ExternalMetrics
    """The query."""

    authentication_ref: ExternalAuthentication | None = None
    """How the server is logged in to."""

    target: MetricTarget
    """The value to keep."""


class PodMetrics(Fields):
    """A metric that the pods export."""

    backend: Literal["opentelemetry"] | None = None
    """opentelemetry."""

    server_address: str | None = None
    """Address of the scaler."""

    metric_names: list[str] | None = None
    """Metrics that are collected."""

    query: str | None = None
    """The query whose result is scaled on."""

    operation_over_time: str | None = None
    """How values are aggregated over time."""


class PodMetricSource(Fields):
    """A metric of the pods."""

    metric: PodMetrics
    """The query."""

    target: MetricTarget
    """The value to keep."""


class MetricsSpec(Fields):
    """One metric, of the named type."""

    type: Literal["Resource", "External", "PodMetric"]
    """Resource, External or PodMetric."""

    resource: ResourceMetricSource | None = None
    """A resource of the pods: cpu or memory."""

    external: ExternalMetricSource | None = None
    """A metric of a metrics server."""

    podmetric: PodMetricSource | None = None
    """A metric of the pods."""


class AutoScalingSpec(Fields):
    """Metrics and behaviour of autoscaling; wins over scaleMetric and scaleTarget."""

    metrics: list[MetricsSpec] | None = None
    """The metrics; the largest proposal wins."""

    behavior: (
        Annotated[Raw, WithJsonSchema(podspecs.kubernetes("V2HorizontalPodAutoscalerBehavior"))]
        | None
    ) = None
    """How fast it scales up and down, as in autoscaling/v2."""


class ComponentExtensionSpec(Fields):
    """Scaling, logging and metadata of a component."""

    min_replicas: Annotated[Int32, Rule("self >= 0", isvcrules.MIN_REPLICAS)] | None = None
    """The fewest replicas, 1 without it."""

    max_replicas: Annotated[Int32, Rule("self >= 0", isvcrules.MAX_REPLICAS)] | None = None
    """The most replicas; 0 or absent is as many as minReplicas."""

    scale_target: Int32 | None = None
    """The value of scaleMetric to keep; for cpu and memory percent of the request."""

    scale_metric: Literal["cpu", "memory", "concurrency", "rps"] | None = None
    """What is scaled on: cpu (without it), memory, concurrency or rps."""

    scale_metric_type: Literal["Utilization", "Value", "AverageValue"] | None = None
    """Kind of scaleTarget; accepted, without effect."""

    auto_scaling: Annotated[Raw, Shape(AutoScalingSpec)] | None = None
    """Metrics and behaviour of autoscaling; wins over scaleMetric and scaleTarget."""

    container_concurrency: (
        Annotated[Int64, Rule("self >= 0", "parallelism cannot be less than 0")] | None
    ) = None
    """How many requests a container takes at a time."""

    timeout: Int64 | None = None
    """Seconds after which a request is given up."""

    canary_traffic_percent: Int64 | None = None
    """Percent of requests for the latest revision; without effect on plain Kubernetes."""

    logger: LoggerSpec | None = None
    """Copies of requests and responses, sent elsewhere as CloudEvents."""

    batcher: Batcher | None = None
    """Requests gathered into one call of the model server."""

    labels: StringMap = Field(default={}, json_schema_extra={"default": None})
    """Labels of this component's objects and pods; they win over the InferenceService's."""

    annotations: StringMap = Field(default={}, json_schema_extra={"default": None})
    """Annotations of this component's objects and pods; they win over the InferenceService's."""

    deployment_strategy: (
        Annotated[Raw, WithJsonSchema(podspecs.kubernetes("V1DeploymentStrategy"))] | None
    ) = None
    """How the Deployment replaces pods, as in apps/v1."""


ABSOLUTE: Final = "must be an absolute path other than /"
NOT_UP: Final = "must not contain .."
ONE_PARENT: Final = (
    "mount paths other than those of pvc:// must have a parent directory (not /) in common"
)

FETCHED_IMAGE: Final = "oci+fetch://"
NO_FETCHED_IMAGE: Final = (
    "images are mounted, never fetched, by this version; write oci:// in place of oci+fetch://"
)
ADDRESS: Final = Rule(f"!self.startsWith('{FETCHED_IMAGE}')", NO_FETCHED_IMAGE)
"""What must hold of the address of a service's own model."""

MOST_IMAGES: Final = len(names.MODELCAR_CONTAINERS)
TOO_MANY_IMAGES: Final = f"at most {MOST_IMAGES} of the addresses may be those of images (oci://)"


class StorageUri(Fields):
    """One of several places that files are fetched from."""

    uri: Annotated[str, Field(min_length=1), ADDRESS]
    """The place: gs://, s3://, hf://, pvc://, oci://, https:// and others."""

    mount_path: Annotated[
        str,
        Field(max_length=255),
        Rule("self.matches('^/.*') && self != '/'", ABSOLUTE),
        Rule("!self.split('/').exists(part, part == '..')", NOT_UP),
    ] = "/mnt/models"
    """Where the container finds the files."""

    @property
    def folder(self) -> str:
        """The mount path, without what means nothing in it."""
        return "/" + "/".join(step for step in self.mount_path.split("/") if step not in ("", "."))


def _top(entry: str) -> str:
    """Write the CEL expression for the first step of an entry's mount path, such as /mnt."""
    path = f"({entry}.mountPath + '/')"
    return f"{path}.substring(0, {path}.indexOf('/', 1))"


_IS_CLAIM = "{}.uri.startsWith('pvc://')"
STORAGE_URI_RULES = (
    Rule(
        f"self.all(s, self.all(t, {_IS_CLAIM.format('s')} || {_IS_CLAIM.format('t')}"
        f" || {_top('s')} == {_top('t')}))",
        ONE_PARENT,
    ),
    Rule(
        f"self.all(s, !{_IS_CLAIM.format('s')} || self.exists_one(t,"
        f" {_IS_CLAIM.format('t')} && t.mountPath == s.mountPath))",
        "mount paths of pvc:// must be unique",
    ),
    Rule(
        f"self.filter(s, s.uri.startsWith('oci')).size() <= {MOST_IMAGES}",
        TOO_MANY_IMAGES,
    ),
)
StorageUris = Annotated[list[StorageUri], Field(min_length=1, max_length=32), *STORAGE_URI_RULES]


class PodComponent(ComponentExtensionSpec):
    """A component with every field of a core/v1 PodSpec at its own level."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={podspecs.INLINE: podspecs.COMPONENT_POD}
    )

    storage_uris: StorageUris | None = None
    """Several places that files are fetched from, in place of one storageUri."""

    @property
    def pod(self) -> Raw:
        """Every field of the core/v1 PodSpec, raw, as the user wrote it."""
        extra = self.model_extra or {}
        return {key: extra[key] for key in extra if key in podspecs.POD_FIELDS}

    @property
    def containers(self) -> list[dict[str, Any]]:
        """The containers, raw."""
        return list(self.pod.get("containers") or [])

    @property
    def service_account_name(self) -> str:
        """The ServiceAccount of the pods, "default" when unset."""
        pod = self.pod
        return pod.get("serviceAccountName") or pod.get("serviceAccount") or "default"


class Parallelism(Fields):
    """Into how many parts a model of several nodes is cut."""

    pipeline_parallel_size: (
        Annotated[Int32, Rule("self >= 1", "pipelineParallelSize cannot be less than 1")] | None
    ) = None
    """Into how many pods the model's layers are cut."""

    tensor_parallel_size: (
        Annotated[Int32, Rule("self >= 1", "tensorParallelSize cannot be less than 1")] | None
    ) = None
    """Over how many GPUs of a pod each layer is cut."""
