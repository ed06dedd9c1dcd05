"""Bodies of the resources as the API server stores them, with only what a test says."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shoal.api import inferenceservices, servingruntimes, settings
from shoal.api.inferenceservices import InferenceService
from shoal.api.servingruntimes import Runtime
from shoal.desired.wanted import Wanted
from shoal.modelconfig import Model
from shoal.modelstates import ModelState, Report, State
from shoal.runtimes import servers
from shoal.runtimes.servers import Server
from shoal.settings import OperatorSettings

Json = Any  # a JSON value
Body = dict[str, Json]

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
CREATED = "2026-11-21T10:00:00Z"
SERVICE = "custom-model-mms"


def process(environ: Mapping[str, str] | None = None) -> OperatorSettings:
    """Make the settings of an operator's process, with variables of the test's own."""
    needed = {
        "SHOAL_NAMESPACE": "shoal-system",
        "SHOAL_POD_NAME": "me",
        "SHOAL_IMAGE": "shoal:test",
    }
    return OperatorSettings.parse(needed | dict(environ or {}))


def metadata(name: str, **given: Json) -> Body:
    return {
        "name": name,
        "namespace": "default",
        "uid": f"uid-of-{name}",
        "generation": 1,
        "creationTimestamp": CREATED,
        **given,
    }


def container(name: str = "kserve-container", **fields: Json) -> Body:
    return {"name": name, "image": "localhost/custom-server:dev", **fields}


def inference_service(
    name: str = SERVICE,
    *,
    containers: Sequence[Body] | None = None,
    predictor: Mapping[str, Any] | None = None,
    **meta: Json,
) -> Body:
    boxes = [container()] if containers is None else list(containers)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata(name, **meta),
        "spec": {"predictor": {"containers": boxes, **(predictor or {})}},
    }


def framework(key: str = "sklearn", spec: Body | None = None, **given: Json) -> Body:
    """Make a service of a framework key; `predictor` among the given adds fields beside it."""
    predictor = {key: spec or {}, **given.pop("predictor", {})}
    body = inference_service(**given)
    return body | {"spec": {"predictor": predictor}}


def serving_runtime(
    *formats: str | Body, name: str = "kserve-mlserver", namespace: str = "", **spec: Json
) -> Body:
    """Make a runtime of V2 that may be chosen for formats; the cluster's without a namespace."""
    rows = [{"name": row, "autoSelect": True} if isinstance(row, str) else row for row in formats]
    meta = metadata(name, **spec.pop("metadata", {}))
    meta["namespace"] = namespace
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime" if namespace else "ClusterServingRuntime",
        "metadata": meta,
        "spec": {
            "supportedModelFormats": rows,
            "protocolVersions": ["v2"],
            "containers": [{"name": "kserve-container", "image": "localhost/mlserver:dev"}],
            **spec,
        },
    }


def storage_container(
    *prefixes: str, name: str = "fetcher", image: str = "example/fetcher:1", **given: Json
) -> Body:
    """Make a storage container for addresses with these beginnings; no image is the operator's."""
    formats = [{"prefix": prefix} for prefix in prefixes]
    box = {"name": "storage-initializer", **({"image": image} if image else {})}
    made = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": metadata(name, namespace="", **given.pop("metadata", {})),
        "spec": {
            "container": box | given.pop("container", {}),
            "supportedUriFormats": formats + given.pop("formats", []),
        },
    }
    if given.pop("disabled", False):
        made["disabled"] = True
    made["spec"] |= given
    return made


def runtime(*formats: str | Body, **given: Json) -> Runtime:
    """Make a runtime as it is read."""
    return servingruntimes.parse(serving_runtime(*formats, **given))


def trained_model(
    name: str = "model1-custom",
    *,
    parent: str = SERVICE,
    memory: str = "256Mi",
    storage_uri: str = "s3://models/model1",
    **meta: Json,
) -> Body:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": metadata(name, **meta),
        "spec": {
            "inferenceService": parent,
            "model": {"storageUri": storage_uri, "framework": "custom", "memory": memory},
        },
    }


def deployment(conditions: Sequence[Body] | None = None, **meta: Json) -> Body:
    status = {} if conditions is None else {"conditions": list(conditions)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(f"{SERVICE}-predictor", **meta),
        "status": status,
    }


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Body:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def pod(
    name: str = "pod-a",
    *,
    ready: bool = False,
    containers: Sequence[Body] = (),
    init_containers: Sequence[Body] = (),
    **meta: Json,
) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(name, **meta),
        "status": {
            "conditions": [condition("Ready", str(ready))],
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init_containers),
        },
    }


def model_state(state: State, model: Model, **given: Json) -> ModelState:
    fields: Body = {
        "state": state,
        "wanted": model.digest,
        "loaded": model.digest if state == State.LOADED else "",
        "reason": "",
        "message": "",
        "attempt": 1,
        "since": CREATED,
        "next_try": "",
    }
    return ModelState(**(fields | given))


def report(**models: ModelState) -> Report:
    """Make a report; `__` in a keyword stands for the `-` of a model's name."""
    named = {name.replace("__", "-"): state for name, state in models.items()}
    return Report(cursor="1", settled=True, config="", models=named)


def wanted(body: Body | None = None, config: Body | None = None, **given: Json) -> Wanted:
    """Make what the children are made of; `config` is a ServingConfig's fields."""
    service = inferenceservices.parse(body or inference_service())
    return Wanted(
        service=service,
        config=settings.ServingConfig.model_validate(config or {}),
        server=given.pop("server", None) or server(service),
        **given,
    )


def server(
    service: InferenceService, *runtimes: Runtime, deployment: Body | None = None
) -> Server:
    """Resolve what the predictor's pods run."""
    return servers.resolve(service, "digest", runtimes, deployment)
