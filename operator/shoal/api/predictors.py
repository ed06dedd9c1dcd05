"""The predictor of an InferenceService: its implementations and their containers."""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from shoal import names, storagespecs
from shoal.api import isvcrules, podspecs
from shoal.api.components import ADDRESS, ModelStorageSpec, Parallelism, PodComponent
from shoal.api.fields import NAME_PATTERN, Fields, Raw, Rule, rules

MISSPELT_PROTOCOL: Final = "ProtocolVersion"
"""How some guides spell protocolVersion."""


class ConfidentialSpec(Fields):
    """A model that is stored encrypted."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.resourceId) || self.resourceId.matches('^kbs:///[^/]+/[^/]+/[^/]+$')",
                "resourceId must look like kbs:///repository/type/tag",
            )
        )
    )

    enabled: bool | None = None
    """Whether the model is decrypted when it is fetched."""

    resource_id: Annotated[str, Field(max_length=1024)] | None = None
    """Where the key is: kbs:///repository/type/tag."""


class PredictorExtensionSpec(Fields):
    """A model served by a runtime; its fields go over the runtime's container."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            podspecs.INLINE: podspecs.CONTAINER,
            **rules(
                Rule(
                    "!has(self.name) || self.name == ''",
                    "the 'name' field is not allowed in standard predictor",
                ),
                Rule(
                    "!has(self.confidential) || !has(self.confidential.enabled)"
                    " || !self.confidential.enabled || has(self.storageUri)",
                    "confidential needs a storageUri",
                ),
            ),
        },
    )

    storage_uri: Annotated[str, ADDRESS] | None = None
    """Where the model's files are. Without any storage the server is shared by TrainedModels."""

    runtime_version: str | None = None
    """Tag of the runtime's image."""

    protocol_version: str | None = None
    """The protocol that the server must speak: v1, v2, grpc-v1 or grpc-v2."""

    misspelt_protocol_version: str | None = Field(default=None, alias=MISSPELT_PROTOCOL)
    """Another spelling of protocolVersion, as some guides have it."""

    storage: ModelStorageSpec | None = None
    """A place of an object store, by key of the storage Secret."""

    confidential: ConfidentialSpec | None = None
    """A model that is stored encrypted."""

    @property
    def protocol(self) -> str:
        """The protocol that is asked for, "" when none is."""
        return self.protocol_version or self.misspelt_protocol_version or ""

    @property
    def address(self) -> str:
        """Where the model is: storageUri, or the path of `storage`; "" where it has none."""
        if self.storage_uri or self.storage is None or self.storage.path is None:
            return self.storage_uri or ""
        return storagespecs.address(self.storage.path)

    @property
    def container(self) -> Raw:
        """The fields of the core/v1 Container, raw, as the user wrote them."""
        return dict(self.model_extra or {})


class ModelFormat(Fields):
    """Framework and version of a model."""

    name: str = ""
    """The format, such as sklearn or onnx."""

    version: str | None = None
    """Its version, such as 1."""


class ModelSpec(PredictorExtensionSpec):
    """A model of any format, with the runtime that serves it."""

    model_format: ModelFormat | None = None
    """Framework and version of the model; a runtime that supports it is chosen by this."""

    runtime: str | None = None
    """Name of the ServingRuntime or ClusterServingRuntime; without it, one is chosen."""


class WorkerSpec(Parallelism):
    """The further pods of a server that spans several nodes."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            podspecs.INLINE: podspecs.COMPONENT_POD,
            **rules(
                Rule(
                    "!has(self.containers) || self.containers.size() <= 1",
                    "only one worker container is allowed",
                )
            ),
        },
    )


class Predictor(PodComponent):
    """The model server. Exactly one of a framework, `model` and own `containers`."""

    model_config = ConfigDict(
        json_schema_extra={
            podspecs.INLINE: podspecs.COMPONENT_POD,
            **rules(*isvcrules.PREDICTOR),
        }
    )

    name: Annotated[
        str,
        Field(max_length=63),
        Rule(
            f"self == '' || self.matches('{NAME_PATTERN}')",
            "must consist of lower case alphanumeric characters or '-', "
            "and must start with alphabetical character",
        ),
    ] = Field(default="", json_schema_extra={"default": None})
    """Part of the names of the predictor's objects: <service>-<name>-predictor."""

    model: ModelSpec | None = None
    """A model of any format, with the runtime that serves it."""

    sklearn: PredictorExtensionSpec | None = None
    """A scikit-learn model; short for model.modelFormat.name sklearn."""

    xgboost: PredictorExtensionSpec | None = None
    """An XGBoost model; short for model.modelFormat.name xgboost."""

    tensorflow: PredictorExtensionSpec | None = None
    """A TensorFlow model; short for model.modelFormat.name tensorflow."""

    pytorch: PredictorExtensionSpec | None = None
    """A PyTorch model; short for model.modelFormat.name pytorch."""

    triton: PredictorExtensionSpec | None = None
    """Models for Triton; short for model.modelFormat.name triton with protocolVersion v2."""

    onnx: PredictorExtensionSpec | None = None
    """An ONNX model; short for model.modelFormat.name onnx with protocolVersion v2."""

    huggingface: PredictorExtensionSpec | None = None
    """A Hugging Face model; short for model.modelFormat.name huggingface."""

    pmml: PredictorExtensionSpec | None = None
    """A PMML model; short for model.modelFormat.name pmml."""

    lightgbm: PredictorExtensionSpec | None = None
    """A LightGBM model; short for model.modelFormat.name lightgbm."""

    paddle: PredictorExtensionSpec | None = None
    """A Paddle model; short for model.modelFormat.name paddle."""

    storage_container_name: str | None = None
    """The ClusterStorageContainer that fetches, in place of the one that fits the URI."""

    worker_spec: WorkerSpec | None = None
    """The further pods of a server that spans several nodes."""

    def framework_specs(self) -> dict[str, PredictorExtensionSpec]:
        """Give `model` and the framework keys that are set, by the name of the field."""
        named = {name: getattr(self, name) for name in isvcrules.KEYS}
        return {name: spec for name, spec in named.items() if spec is not None}

    @property
    def has_storage(self) -> bool:
        """Whether a storageUri, storage, storageUris or STORAGE_URI is given anywhere in it."""
        specs = self.framework_specs().values()
        return (
            bool(self.storage_uris)
            or any(spec.storage_uri or spec.storage for spec in specs)
            or any(row.get("name") == names.STORAGE_URI_VARIABLE for _, row in self.environment())
        )

    @property
    def storage_uri(self) -> str:
        """The address of the one model that its server begins with, "" where there is none.

        It is that of the framework, or STORAGE_URI of the first container of one's own; a path of
        `storage` is written as `storagespecs.address`.
        """
        for spec in self.framework_specs().values():
            return spec.address
        env = (self.containers[0].get("env") or []) if self.containers else []
        values = [row.get("value") for row in env if row.get("name") == names.STORAGE_URI_VARIABLE]
        return str(values[-1] or "") if values else ""

    @property
    def storage(self) -> ModelStorageSpec | None:
        """Where the credentials of that model are, where it says so itself."""
        return next((spec.storage for spec in self.framework_specs().values()), None)

    def environment(self) -> list[tuple[str, dict[str, Any]]]:
        """List the containers' environment variables, raw, each with its container's path."""
        return [
            (f"spec.predictor.containers[{index}]", variable)
            for index, container in enumerate(self.containers)
            for variable in container.get("env") or []
        ]
