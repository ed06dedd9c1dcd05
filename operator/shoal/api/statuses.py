"""The shape of both statuses (contract §1.3, §1.4), for the CRDs only.

`status` computes plain dictionaries; the API server checks them against these types.
"""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from shoal.api.fields import Fields, Int32, Int64

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
ModelState = Literal["", "Pending", "Standby", "Loading", "Loaded", "FailedToLoad"]


class Condition(Fields):
    """One thing that is true, false or not known."""

    type: str
    """What it is about."""

    status: str
    """True, False or Unknown."""

    severity: str | None = None
    """Info for what Ready does not depend on."""

    reason: str | None = None
    """Why, in one word."""

    message: str | None = None
    """Why, in a sentence."""

    last_transition_time: Time | None = None
    """When the status changed last."""

    observed_generation: Int64 | None = None
    """The generation of the spec that it is about."""


Conditions = Annotated[
    list[Condition],
    Field(
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        }
    ),
]


class Status(Fields):
    """What every status has."""

    observed_generation: Int64 | None = None
    """The generation of the spec that this status is about."""

    conditions: Conditions | None = None
    """What is true of it, by type; Ready sums up."""

    annotations: dict[str, str] | None = None
    """Further facts."""


class Address(Fields):
    """Where it answers inside the cluster."""

    url: str | None = None
    """The URL."""

    name: str | None = None
    """Name of the address."""

    ca_certs: str | None = Field(default=None, alias="CACerts")
    """Certificates that verify it."""

    audience: str | None = None
    """Audience of tokens for it."""


class Traffic(Fields):
    """A share of the requests (Knative; not written on plain Kubernetes)."""

    configuration_name: str | None = None
    """The configuration that answers."""

    latest_revision: bool | None = None
    """Whether it is the latest revision."""

    percent: Int64 | None = None
    """Percent of the requests."""

    revision_name: str | None = None
    """The revision that answers."""

    tag: str | None = None
    """Name of the share."""

    url: str | None = None
    """The URL of this share alone."""


class Component(Fields):
    """One component's addresses and revisions."""

    address: Address | None = None
    """Where it answers inside the cluster."""

    grpc_url: str | None = None
    """URL for gRPC."""

    latest_created_revision: str | None = None
    """Not written on plain Kubernetes."""

    latest_ready_revision: str | None = None
    """Not written on plain Kubernetes."""

    latest_rolledout_revision: str | None = None
    """Not written on plain Kubernetes."""

    previous_rolledout_revision: str | None = None
    """Not written on plain Kubernetes."""

    rest_url: str | None = None
    """URL for REST."""

    traffic: list[Traffic] | None = None
    """Not written on plain Kubernetes."""

    url: str | None = None
    """URL of the component."""


class ModelCopies(Fields):
    """Replicas that hold the model."""

    failed_copies: Int32 = 0
    """Replicas on which it failed."""

    total_copies: Int32 | None = None
    """Replicas that are ready."""


class ModelStates(Fields):
    """State of the model that serves, and of the one that is to."""

    active_model_state: ModelState = "Pending"
    """State of the model that serves."""

    target_model_state: ModelState = ""
    """State of the model that is to serve."""


class FailureInfo(Fields):
    """The last failure."""

    location: str | None = None
    """Pod that failed."""

    reason: (
        Literal[
            "ModelLoadFailed",
            "RuntimeUnhealthy",
            "RuntimeDisabled",
            "NoSupportingRuntime",
            "RuntimeNotRecognized",
            "InvalidPredictorSpec",
        ]
        | None
    ) = None
    """Why, in one word."""

    message: str | None = None
    """Why, in a sentence."""

    model_revision_name: str | None = None
    """Not written on plain Kubernetes."""

    time: Time | None = None
    """When."""

    exit_code: Int32 | None = None
    """Exit code of the container."""


class ModelStatus(Fields):
    """State of the predictor's model."""

    transition_status: Literal[
        "", "UpToDate", "InProgress", "BlockedByFailedLoad", "InvalidSpec"
    ] = "UpToDate"
    """Whether the model that serves is the one that is wanted."""

    states: ModelStates | None = None
    """State of the model that serves, and of the one that is to."""

    last_failure_info: FailureInfo | None = None
    """The last failure; absent once it is mended."""

    copies: ModelCopies | None = None
    """Replicas that hold the model."""


class CanaryStatus(Fields):
    """State of one canary."""

    name: str
    """Its name."""

    ready: bool | None = None
    """Whether it has a replica that is available."""

    traffic_percent: Int32 | None = None
    """Percent of the requests that it gets."""

    model_status: ModelStatus | None = None
    """State of its model."""


class ModelCount(Fields):
    """TrainedModels of the service."""

    total: Int32 | None = None
    """TrainedModels that name the service."""

    loaded: Int32 | None = None
    """Those that are Ready."""

    summary: str | None = None
    """loaded/total."""


class InferenceServiceStatus(Status):
    """What was observed."""

    address: Address | None = None
    """Where the service answers inside the cluster."""

    url: str | None = None
    """Where the service answers from outside."""

    components: dict[str, Component] | None = None
    """predictor, transformer and explainer."""

    model_status: ModelStatus | None = None
    """State of the predictor's model."""

    canary_statuses: list[CanaryStatus] | None = None
    """State of each canary."""

    deployment_mode: str | None = None
    """Standard."""

    serving_runtime_name: str | None = None
    """The ServingRuntime that serves."""

    cluster_serving_runtime_name: str | None = None
    """The ClusterServingRuntime that serves."""

    models: ModelCount | None = None
    """TrainedModels of the service."""


class Copies(Fields):
    """Replicas of the server, and those that hold the model."""

    total: Int32 | None = None
    """Replicas of the server."""

    loaded: Int32 | None = None
    """Replicas that answer with the model as this spec has it."""

    failed: Int32 | None = None
    """Replicas on which it failed."""

    summary: str | None = None
    """loaded/total."""


class LoadFailure(Fields):
    """The last failure to fetch or load; absent once it is mended."""

    reason: str | None = None
    """Why, in one word."""

    message: str | None = None
    """Why, in a sentence."""

    time: Time | None = None
    """When this failure was first seen."""

    pod: str | None = None
    """The replica on which it failed."""


class ServiceReference(Fields):
    """One InferenceService, and no later one of its name."""

    name: str | None = None
    """Its name."""

    uid: str | None = None
    """Its uid."""


class TrainedModelStatus(Status):
    """What was observed."""

    inference_service: ServiceReference | None = None
    """The InferenceService that serves the model, and with which it goes."""

    url: str | None = None
    """Where the model answers from outside."""

    address: Address | None = None
    """Where the model answers inside the cluster."""

    copies: Copies | None = None
    """Replicas of the server, and those that hold the model."""

    last_failure_info: LoadFailure | None = None
    """The last failure to fetch or load; absent once it is mended."""
