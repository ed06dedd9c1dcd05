"""Manifests as a user types them."""

from typing import Any

from shoal import modelconfig, names

Body = dict[str, Any]
MEBI = 1 << 20


def service(name: str = "mms", *, container: Body | None = None, **meta: Any) -> Body:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, **meta},
        "spec": {"predictor": {"containers": [server(**(container or {}))]}},
    }


def server(**fields: Any) -> Body:
    amounts = {"cpu": "1", "memory": "2Gi"}
    return {
        "name": "kserve-container",
        "image": "localhost/custom-server:dev",
        "resources": {"requests": amounts, "limits": amounts},
        **fields,
    }


def framework(name: str = "mms", *, model: Body | None = None, **predictor: Any) -> Body:
    """Write a service whose server is a runtime's, chosen by the model's format."""
    body = service(name)
    spec = model or {"modelFormat": {"name": "sklearn"}}
    return body | {"spec": {"predictor": {"model": spec, **predictor}}}


def unscaled(service: Body) -> Body:
    """Leave its replicas to nobody, so that no autoscaler has a word about them."""
    note = {names.AUTOSCALER_CLASS_ANNOTATION: "none"}
    return service | {"metadata": {**service["metadata"], "annotations": note}}


def runtime(name: str, *, kind: str = "ServingRuntime", **spec: Any) -> Body:
    """Write a runtime for sklearn."""
    box = {"name": "kserve-container", "image": "localhost/one:dev", "args": ["--of={{.Name}}"]}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "supportedModelFormats": [{"name": "sklearn", "autoSelect": True}],
            "protocolVersions": ["v2"],
            "containers": [box],
            **spec,
        },
    }


def model(
    name: str, *, parent: str = "mms", uri: str = "s3://models/m", memory: str = "1Mi"
) -> Body:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": name},
        "spec": {
            "inferenceService": parent,
            "model": {"storageUri": uri, "framework": "custom", "memory": memory},
        },
    }


def wanted(body: Body) -> modelconfig.Model:
    """Make of a TrainedModel what its agent is told."""
    spec = body["spec"]["model"]
    return modelconfig.Model(
        body["metadata"]["name"], spec["storageUri"], spec["framework"], spec["memory"]
    )


def config_map(name: str, data: dict[str, str]) -> Body:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
