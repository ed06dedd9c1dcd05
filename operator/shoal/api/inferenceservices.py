"""InferenceService (contract §1.2, §6.2): a model server, and how it is scaled and reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from shoal import names, storagespecs
from shoal.api import isvcrules, modelannotations, modelstorages, podspecs
from shoal.api.components import ModelStorageSpec, PodComponent, StringMap
from shoal.api.fields import Fields, Int32, invalid, rules, validate
from shoal.api.meta import Metadata
from shoal.api.predictors import MISSPELT_PROTOCOL, Predictor, PredictorExtensionSpec
from shoal.api.trainedmodels import SCHEMES

KEDA: Final = "keda"
AUTOSCALER_CLASSES: Final = ("hpa", "external", KEDA, "none")
_SCHEMES: Final = (*SCHEMES, modelstorages.FILE, *modelstorages.IMAGES)
_FIRST: Final = "spec.predictor.containers[0]"


class Transformer(PodComponent):
    """A server in front of the predictor that changes requests and responses."""

    model_config = ConfigDict(
        json_schema_extra={
            podspecs.INLINE: podspecs.COMPONENT_POD,
            **rules(*isvcrules.TRANSFORMER),
        }
    )


class ArtExplainer(Fields):
    """The explainer of the Adversarial Robustness Toolbox."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={podspecs.INLINE: podspecs.CONTAINER}
    )

    type: str | None = None
    """Kind of the explainer, such as SquareAttack."""

    storage_uri: str | None = None
    """Where its files are."""

    runtime_version: str | None = None
    """Tag of its image."""

    config: StringMap | None = None
    """Its arguments."""

    storage: ModelStorageSpec | None = None
    """A place of an object store, by key of the storage Secret."""


class Explainer(PodComponent):
    """A server that explains predictions. Either `art` or own `containers`."""

    model_config = ConfigDict(
        json_schema_extra={
            podspecs.INLINE: podspecs.COMPONENT_POD,
            **rules(*isvcrules.EXPLAINER),
        }
    )

    art: ArtExplainer | None = None
    """The explainer of the Adversarial Robustness Toolbox."""


class Canary(Fields):
    """Another version of the predictor beside the stable one."""

    predictor: Predictor
    """What differs from the stable predictor; its name is part of its objects' names."""

    traffic_percent: Int32
    """Percent of the requests that it gets."""


class Spec(Fields):
    """The components of the service."""

    model_config = ConfigDict(json_schema_extra=rules(*isvcrules.SPEC))

    predictor: Predictor
    """The model server. Exactly one of a framework, model and own containers."""

    transformer: Transformer | None = None
    """A server in front of the predictor that changes requests and responses."""

    explainer: Explainer | None = None
    """A server that explains predictions."""

    canary: (
        Annotated[list[Canary], Field(max_length=isvcrules.MAX_CANARIES), *isvcrules.CANARIES]
        | None
    ) = None
    """Other versions of the predictor beside the stable one, each with its share of requests."""


class Root(Fields):
    """A model server on plain Kubernetes: its Deployment, Service, autoscaling and URL.

    Many TrainedModels can share it.
    """

    model_config = ConfigDict(json_schema_extra=rules(*isvcrules.ROOT))

    spec: Spec
    """What is wanted."""


@dataclass(frozen=True, slots=True)
class InferenceService:
    """A stored InferenceService, valid by itself."""

    metadata: Metadata
    spec: Spec

    @property
    def predictor(self) -> Predictor:
        """The stable predictor."""
        return self.spec.predictor

    def annotation(self, key: str) -> str:
        """Give an annotation of the predictor or else of the service, "" when there is none."""
        return self.predictor.annotations.get(key) or self.metadata.annotations.get(key, "")


def parse(body: Mapping[str, Any]) -> InferenceService:
    """Read a stored InferenceService.

    Raises:
        StalledError: a field is missing or wrong, with its path.
    """
    service = InferenceService(
        metadata=Metadata.parse(body),
        spec=validate(Spec, body.get("spec") or {}, at="spec"),
    )
    _check_implementation(service.predictor)
    modelstorages.check(service.predictor)
    modelannotations.check(service.metadata, service.predictor)
    _check_replicas(service.predictor)
    autoscaler = service.annotation(names.AUTOSCALER_CLASS_ANNOTATION)
    if autoscaler and autoscaler not in AUTOSCALER_CLASSES:
        raise invalid(
            f"metadata.annotations[{names.AUTOSCALER_CLASS_ANNOTATION}]",
            f"[{autoscaler}] is not a supported autoscaler class type; "
            f"use one of {', '.join(AUTOSCALER_CLASSES)}",
        )
    return service


def unsupported(service: InferenceService, *, by_others: bool = False) -> list[str]:
    """Say which parts of the service this version cannot serve, each with what to do.

    `by_others` tells that a container that is not ours fetches its models.
    """
    found = [] if by_others else unfetched(service.predictor)
    found += [*_unsupported_predictor(service.predictor), *_unsupported_mode(service)]
    found += [
        f"spec.{component}: not served by this version, remove it"
        for component in ("transformer", "explainer", "canary")
        if getattr(service.spec, component)
    ]
    return found


def is_fetched(uri: str) -> bool:
    """Tell whether this version fetches, or mounts, a model from an address."""
    return uri.startswith(_SCHEMES)


def storage_refusal(storage: ModelStorageSpec | None) -> str:
    """Say why the type that `storage` names is not fetched; "" where it is, or names none."""
    kind = ((storage and storage.parameters) or {}).get(storagespecs.TYPE, "")
    return storagespecs.refusal(kind) if kind else ""


def unfetched(predictor: Predictor) -> list[str]:
    """Say which addresses of models this version does not fetch itself, each with what to do."""
    found = []
    for name, spec in predictor.framework_specs().items():
        found += _unfetched(f"spec.predictor.{name}.storageUri", spec.storage_uri or "")
        if refusal := storage_refusal(spec.storage):
            at = f"spec.predictor.{name}.storage.parameters[{storagespecs.TYPE}]"
            found.append(f"{at}: {refusal}")
    for index, row in enumerate(predictor.storage_uris or ()):
        found += _unfetched(f"spec.predictor.storageUris[{index}].uri", row.uri)
    if not predictor.framework_specs():
        path = f"{_FIRST}.env[{names.STORAGE_URI_VARIABLE}]"
        found += _unfetched(path, predictor.storage_uri)
    return found


def ignored(service: InferenceService) -> list[str]:
    """List the paths of the fields that are accepted and have no effect in this version."""
    predictor = service.predictor
    unused = [
        "logger", "batcher", "timeout", "canary_traffic_percent", "container_concurrency",
        "scale_metric_type",
        *(() if modelstorages.is_fetched(predictor) else ("storage_container_name",)),
    ]  # fmt: skip
    aliases = {name: field.alias for name, field in type(predictor).model_fields.items()}
    paths = [f"spec.predictor.{aliases[name]}" for name in unused if _is_set(predictor, name)]
    if predictor.storage and predictor.storage.schema_path is not None:
        paths += [
            f"spec.predictor.{key}.storage.schemaPath" for key in predictor.framework_specs()
        ]
    paths += [
        f"spec.predictor.{key}.{MISSPELT_PROTOCOL}"
        for key, spec in predictor.framework_specs().items()
        if spec.protocol_version and spec.misspelt_protocol_version
    ]
    if predictor.scale_metric in ("concurrency", "rps"):
        paths.append("spec.predictor.scaleMetric")
    metrics = (predictor.auto_scaling or {}).get("metrics") or []
    is_keda = service.annotation(names.AUTOSCALER_CLASS_ANNOTATION) == KEDA
    paths += [
        f"spec.predictor.autoScaling.metrics[{index}]"
        for index, metric in enumerate(metrics)
        if not metric.get("resource") and not (is_keda and metric.get("external"))
    ]
    return paths


def misspelt(service: InferenceService) -> list[str]:
    """List the paths of the fields that are read, though they are to be written otherwise."""
    return [
        f"spec.predictor.{key}.{MISSPELT_PROTOCOL}"
        for key, spec in service.predictor.framework_specs().items()
        if spec.misspelt_protocol_version and not spec.protocol_version
    ]


def _is_set(predictor: Predictor, name: str) -> bool:
    return getattr(predictor, name) is not None


def _check_implementation(predictor: Predictor) -> None:
    named = [c for c in predictor.containers if c.get("name") == names.PREDICTOR_CONTAINER]
    count = len(predictor.framework_specs()) + len(named)
    if count > 1 or (count == 0 and not predictor.containers):
        raise invalid("spec.predictor", isvcrules.ONE_PREDICTOR)


def _check_replicas(predictor: Predictor) -> None:
    fewest, most = predictor.min_replicas or 0, predictor.max_replicas or 0
    if fewest < 0:
        raise invalid("spec.predictor.minReplicas", isvcrules.MIN_REPLICAS)
    if most < 0:
        raise invalid("spec.predictor.maxReplicas", isvcrules.MAX_REPLICAS)
    if most and fewest > most:
        raise invalid("spec.predictor.minReplicas", isvcrules.MIN_ABOVE_MAX)


def _unsupported_predictor(predictor: Predictor) -> list[str]:
    found = []
    for name, spec in predictor.framework_specs().items():
        found += _unsupported_framework(f"spec.predictor.{name}", spec)
    if predictor.worker_spec:
        found.append("spec.predictor.workerSpec: not served by this version, remove it")
    return found + _unsupported_variables(predictor)


def _unsupported_variables(predictor: Predictor) -> list[str]:
    """Upstream reads STORAGE_URI of the first container of one's own alone (contract §4)."""
    found = []
    for container, variable in predictor.environment():
        path = f"{container}.env[{names.STORAGE_URI_VARIABLE}]"
        if variable.get("name") != names.STORAGE_URI_VARIABLE:
            continue
        if predictor.framework_specs() or container != _FIRST or not variable.get("value"):
            found.append(
                f"{path}: is read only as a plain value of the first container of a server of "
                "one's own, remove it"
            )
    return found


def _unfetched(path: str, uri: str) -> list[str]:
    """Name an address of a kind that is not fetched, without what may be a secret in it."""
    if not uri or is_fetched(uri):
        return []
    scheme, separator, _ = uri.partition("://")
    kind = f"{scheme}{separator}" if separator else "a path"
    known = ", ".join(_SCHEMES)
    return [f"{path}: {kind} is not fetched by this version, write one that begins with {known}"]


def _unsupported_framework(path: str, spec: PredictorExtensionSpec) -> list[str]:
    if spec.confidential:
        return [f"{path}.confidential: not served by this version, remove it"]
    return []


def _unsupported_mode(service: InferenceService) -> list[str]:
    found = []
    mode = service.metadata.annotations.get(names.DEPLOYMENT_MODE_ANNOTATION, "")
    if mode in ("Knative", "Serverless", "ModelMesh"):
        found.append(
            f"metadata.annotations[{names.DEPLOYMENT_MODE_ANNOTATION}]: {mode} is not served, "
            "remove it or write Standard"
        )
    return found
