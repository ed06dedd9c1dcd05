"""The ConfigMap `inferenceservice-config` (contract §7): settings of the whole installation.

Each key of the ConfigMap holds a JSON object. Keys that no part of this version reads are
accepted unread. Fields of a read key are checked; unknown ones are left for later versions.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from shoal import names
from shoal.api import quantities
from shoal.api.fields import Fields

STANDARD: Final = "Standard"
DOMAIN_TEMPLATE: Final = "{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}"
DEFAULT_IMAGE: Final = "localhost/shoal:dev"
# Contract §2.3; what the configuration lists is appended.
DISALLOWED_ANNOTATIONS: Final = (
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/max-scale",
    "internal.serving.kserve.io/storage-initializer-sourceuri",
    "kubectl.kubernetes.io/last-applied-configuration",
    "modelFormat",
)
DISALLOWED_LABELS: Final = ("networking.knative.dev/visibility",)

_LEGACY_MODES: Final = {"RawDeployment": STANDARD, "Serverless": "Knative"}
Positive = Annotated[int, Field(gt=0)]
_Part = TypeVar("_Part", bound="Part")


def _quantity(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("must be a quantity such as 500m, 2 or 1.5Gi")  # noqa: TRY004 - pydantic
    quantities.parse(str(value))
    return str(value)


def _template(value: str) -> str:
    if not value.strip() or value.count("{{") != value.count("}}"):
        raise ValueError("must be a template such as " + DOMAIN_TEMPLATE)
    return value


def _mode(value: str) -> str:
    mode = _LEGACY_MODES.get(value, value)
    if mode != STANDARD:
        raise ValueError("only Standard is served")
    return mode


def _no_gateway(value: bool) -> bool:  # noqa: FBT001 - a pydantic validator
    if value:
        raise ValueError("the Gateway API is not served by this version, write false")
    return value


def _oci_mode(value: str) -> str:
    if value == "fetch":
        raise ValueError(
            "images are not fetched by this version, write modelcar, native, or leave it empty"
        )
    if value not in ("", "modelcar", "native"):
        raise ValueError("must be modelcar, native, or empty")
    return value


def _no_path(value: str) -> str:
    if value:
        raise ValueError("routing by path is not served by this version, leave it empty")
    return value


def _appended(builtin: tuple[str, ...]) -> BeforeValidator:
    def append(value: object) -> object:
        return (*builtin, *value) if isinstance(value, list) else value

    return BeforeValidator(append)


Amount = Annotated[str, BeforeValidator(_quantity)]
Template = Annotated[str, AfterValidator(_template)]


class Part(Fields):
    """One key of the ConfigMap; its numbers and booleans may be spelt as strings (contract §7)."""

    model_config = ConfigDict(strict=False)


class IngressConfig(Part):
    """How services are reached from outside (key `ingress`)."""

    ingress_domain: Annotated[str, Field(min_length=1)] = "example.com"
    additional_ingress_domains: tuple[str, ...] = ()
    ingress_class_name: str = ""
    """Empty leaves the choice to the cluster's default class."""
    domain_template: Template = DOMAIN_TEMPLATE
    url_scheme: Annotated[str, Field(pattern="^https?$")] = "http"
    path_template: Annotated[str, AfterValidator(_no_path)] = ""
    disable_ingress_creation: bool = False
    enable_gateway_api: Annotated[bool, AfterValidator(_no_gateway)] = False


class _Rollout(Part):
    max_surge: str | None = None
    max_unavailable: str | None = None


class _RolloutStrategy(Part):
    default_rollout: _Rollout = _Rollout()


class DeployConfig(Part):
    """How Deployments are made (key `deploy`)."""

    default_deployment_mode: Annotated[str, AfterValidator(_mode)] = STANDARD
    deployment_rollout_strategy: _RolloutStrategy = _RolloutStrategy()
    max_concurrent_rollouts: Positive = 10
    """Services whose pods are made anew at a time for what their users did not change."""

    @property
    def max_surge(self) -> str | None:
        """Pods above the wanted number during a rollout, such as "25%" or "1"."""
        return self.deployment_rollout_strategy.default_rollout.max_surge

    @property
    def max_unavailable(self) -> str | None:
        """Pods below the wanted number during a rollout, such as "25%" or "1"."""
        return self.deployment_rollout_strategy.default_rollout.max_unavailable


class _Amounts(Part):
    """Resources, of which a default never contradicts what is given.

    The API server refuses a request above its limit, and so every pod that has one.
    """

    @model_validator(mode="before")
    @classmethod
    def _follow(cls, given: Any) -> Any:  # noqa: ANN401 - as pydantic has it
        if not isinstance(given, dict):
            return given
        return given | _followed(cls, given, "cpu") | _followed(cls, given, "memory")


def _followed(kind: type[Part], given: Mapping[str, Any], name: str) -> dict[str, str]:
    """Move the default end that the given one would cross; 0 is no bound.

    Raises:
        ValueError: both are given, and cross.
    """
    ends = {f"{name}Request": f"{name}_request", f"{name}Limit": f"{name}_limit"}
    said = [key for key in ends if given.get(key) is not None]
    request, limit = (
        str(given[key] if key in said else kind.model_fields[field].default)
        for key, field in ends.items()
    )
    if not (_is_quantity(request) and _is_quantity(limit)) or not quantities.parse(limit):
        return {}  # the fields' own checks say what is wrong
    if quantities.parse(request) <= quantities.parse(limit):
        return {}
    if len(said) > 1:
        raise ValueError(f"{name}Request {request} is above {name}Limit {limit}; lower it")
    return {f"{name}Limit": request} if f"{name}Request" in said else {f"{name}Request": limit}


def _is_quantity(text: str) -> bool:
    try:
        quantities.parse(text)
    except ValueError:
        return False
    return True


class ServiceConfig(Part):
    """How Services are made (key `service`)."""

    headless: bool = Field(default=False, alias="serviceClusterIPNone")
    """Whether predictors' Services have no address of their own, only those of their pods."""


class SidecarConfig(_Amounts):
    """Image and resources of a container that the operator adds."""

    image: Annotated[str, Field(min_length=1)] = DEFAULT_IMAGE
    cpu_request: Amount = "100m"
    cpu_limit: Amount = "1"
    memory_request: Amount = "100Mi"
    memory_limit: Amount = "1Gi"


class AgentConfig(SidecarConfig):
    """The agent (key `agent`)."""

    store_limit: Amount = "0"
    """Bytes of models in one pod; 0 leaves the bound to the node's disk."""
    fetch_concurrency: Positive = 4
    fetch_max_files: Positive = 100_000
    fetch_max_size: Amount = "1Ti"
    fetch_stall_seconds: Positive = 60
    fetch_seconds: Positive = 21_600
    archive_ratio: Positive = 100


class StorageInitializerConfig(SidecarConfig):
    """The init container that fetches a service's own model (key `storageInitializer`)."""

    ca_bundle_config_map_name: str = ""
    ca_bundle_volume_mount_path: Annotated[str, Field(pattern="^/.+")] = "/etc/ssl/custom-certs"
    enable_modelcar: bool = True
    cpu_modelcar: Amount = "10m"
    memory_modelcar: Amount = "15Mi"
    uid_modelcar: Annotated[int, Field(ge=0)] = 1010
    enable_oci_model_support: bool = False
    oci_model_mode: Annotated[str, AfterValidator(_oci_mode)] = ""
    """How `oci://` is mounted (contract §4.4); empty leaves it to `desired.modelimages`."""


class CredentialsConfig(Part):
    """Where credentials of stores are found (key `credentials`, contract §4.5)."""

    storage_spec_secret_name: Annotated[str, Field(min_length=1)] = "storage-config"  # noqa: S105 - a name
    storage_secret_name_annotation: str = names.STORAGE_SECRET_ANNOTATION


class _Resource(_Amounts):
    cpu_limit: Amount = "1"
    memory_limit: Amount = "2Gi"
    cpu_request: Amount = "1"
    memory_request: Amount = "2Gi"


class InferenceServiceConfig(Part):
    """Defaults of servers, and what is kept off their objects (key `inferenceService`)."""

    resource: _Resource = _Resource()
    service_annotation_disallowed_list: Annotated[
        tuple[str, ...], _appended(DISALLOWED_ANNOTATIONS)
    ] = DISALLOWED_ANNOTATIONS
    service_label_disallowed_list: Annotated[tuple[str, ...], _appended(DISALLOWED_LABELS)] = (
        DISALLOWED_LABELS
    )

    @property
    def cpu_limit(self) -> str:
        """CPU limit of a server whose container names none."""
        return self.resource.cpu_limit

    @property
    def memory_limit(self) -> str:
        """Memory limit of a server whose container names none."""
        return self.resource.memory_limit

    @property
    def cpu_request(self) -> str:
        """CPU request of a server whose container names none."""
        return self.resource.cpu_request

    @property
    def memory_request(self) -> str:
        """Memory request of a server whose container names none."""
        return self.resource.memory_request


class ServingConfig(Part):
    """The settings of the installation; every one has a default."""

    ingress: IngressConfig = IngressConfig()
    deploy: DeployConfig = DeployConfig()
    service: ServiceConfig = ServiceConfig()
    agent: AgentConfig = AgentConfig()
    storage_initializer: StorageInitializerConfig = StorageInitializerConfig()
    inference_service: InferenceServiceConfig = InferenceServiceConfig()
    credentials: CredentialsConfig = CredentialsConfig()
    cluster_domain: str = "cluster.local"
    own_image: str = DEFAULT_IMAGE
    """The operator's; agents have it where the configuration names none."""

    def with_own_image(self, image: str) -> "ServingConfig":
        """Give agents another image of the operator's, where they have one of its."""
        if self.agent.image != self.own_image:
            return self
        return self.model_copy(update={"agent": self.agent.model_copy(update={"image": image})})


def parse(data: Mapping[str, str], *, default_image: str = DEFAULT_IMAGE) -> ServingConfig:
    """Read the data of the ConfigMap; a missing key or field has its default.

    Raises:
        ValueError: a value is wrong; the message names key, field and value.
    """
    image = {"image": default_image}
    return ServingConfig(
        ingress=_part(IngressConfig, data, "ingress", {}),
        deploy=_part(DeployConfig, data, "deploy", {}),
        service=_part(ServiceConfig, data, "service", {}),
        agent=_part(AgentConfig, data, "agent", image),
        storage_initializer=_part(StorageInitializerConfig, data, "storageInitializer", image),
        inference_service=_part(InferenceServiceConfig, data, "inferenceService", {}),
        credentials=_part(CredentialsConfig, data, "credentials", {}),
        own_image=default_image,
    )


def _part(
    model: type[_Part], data: Mapping[str, str], key: str, defaults: Mapping[str, Any]
) -> _Part:
    try:
        return model.model_validate({**defaults, **_object(data, key)})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(step) for step in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "value_error" and isinstance(first["input"], dict):  # of several
            raise ValueError(f"key {key}: {message}") from error
        raise ValueError(
            f"key {key}: field {field}: {message}, got {first['input']!r:.80}"
        ) from error


def _object(data: Mapping[str, str], key: str) -> dict[str, Any]:
    text = data.get(key) or "{}"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"key {key}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"key {key}: must be a JSON object, got {text!r:.80}")  # noqa: TRY004
    return {name: field for name, field in value.items() if field is not None}
