"""Objects that the API server must accept or refuse, each named by what happens."""

from typing import Any

CONTAINER = {"name": "kserve-container", "image": "example/server:1"}
CUSTOM: dict[str, Any] = {"containers": [CONTAINER]}
MODEL: dict[str, Any] = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://bucket/a"}
PATH_ENV = {"env": [{"name": "PYTHONPATH", "value": "/x"}]}


def isvc(predictor: Any = CUSTOM, *, name: str = "example", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": predictor, **spec},
    }


def model(*, name: str = "example", parent: str = "service", **fields: object) -> dict[str, Any]:
    spec = {"storageUri": "s3://bucket/a", "framework": "sklearn", "memory": "1Gi", **fields}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"inferenceService": parent, "model": spec},
    }


def runtime(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"containers": [CONTAINER], **spec},
    }


def own(**fields: object) -> dict[str, Any]:
    """A predictor of one's own container, with further fields of the container."""
    return {"containers": [{**CONTAINER, **fields}]}


def env(name: str, value: str) -> dict[str, Any]:
    return {"env": [{"name": name, "value": value}]}


def canary(percent: int = 10, *, name: str = "b", **predictor: object) -> dict[str, Any]:
    changed = {"name": name, "model": MODEL, **predictor}
    return {"trafficPercent": percent, "predictor": changed}


def formats(*priorities: int) -> list[dict[str, Any]]:
    return [{"name": "sklearn", "autoSelect": True, "priority": p} for p in priorities]


def uris(*paths: str, scheme: str = "s3") -> list[dict[str, str]]:
    return [{"uri": f"{scheme}://{i}", "mountPath": path} for i, path in enumerate(paths)]


ACCEPTED = {
    "isvc-name-of-48": isvc(name="a" * 48),
    "isvc-name-and-predictor-name-of-47": isvc({**CUSTOM, "name": "b" * 7}, name="a" * 40),
    "transformer-name-of-46": isvc(transformer=CUSTOM, name="a" * 46),
    "no-replicas-at-all": isvc({**CUSTOM, "minReplicas": 0, "maxReplicas": 0}),
    "fewest-equals-most": isvc({**CUSTOM, "minReplicas": 2, "maxReplicas": 2}),
    "most-unset-by-zero": isvc({**CUSTOM, "minReplicas": 2, "maxReplicas": 0}),
    "no-concurrency": isvc({**CUSTOM, "containerConcurrency": 0}),
    "container-of-any-name": isvc({"containers": [{"name": "mine", "image": "x"}]}),
    "framework-name-empty": isvc({"model": {**MODEL, "name": ""}}),
    **{f"model-from-{it}": model(storageUri=f"{it}://a/b") for it in ("az", "hf", "pvc")},
    "protocol-v2": isvc(own(**env("PROTOCOL", "v2"))),
    "mount-paths-side-by-side": isvc({"model": {}, "storageUris": uris("/mnt/a", "/mnt/b")}),
    "claims-anywhere": isvc({"model": {}, "storageUris": uris("/a", "/b", scheme="pvc")}),
    "logger-mode-request": isvc({**CUSTOM, "logger": {"mode": "request"}}),
    "canaries-of-a-hundred": isvc({"model": MODEL}, canary=[canary(40), canary(60, name="c")]),
    "model-name-with-capitals": model(name="model-1"),
    "memory-as-number": model(memory=1073741824),
    "memory-with-fraction": model(memory="0.5Gi"),
    "https-model": model(storageUri="https://host/a.zip"),
    "same-priorities": runtime(supportedModelFormats=formats(1, 1)),
    "disabled-runtime-unchecked": runtime(disabled=True, supportedModelFormats=formats(1, 2)),
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "isvc-name-begins-with-digit": (
        isvc(name="1a"),
        (
            "a InferenceService name must consist of lower case alphanumeric characters or '-', "
            "and must start with alphabetical character."
        ),
    ),
    "isvc-name-with-dot": (isvc(name="a.b"), "a InferenceService name must consist of"),
    "isvc-name-of-49": (isvc(name="a" * 49), "the name may have at most 48 characters"),
    "isvc-name-and-predictor-name-of-48": (
        isvc({**CUSTOM, "name": "b" * 8}, name="a" * 40),
        "with predictor.name both together 47",
    ),
    "transformer-name-of-47": (
        isvc(transformer=CUSTOM, name="a" * 47),
        "with a transformer the name may have at most 46 characters",
    ),
    "predictor-name-with-capital": (
        isvc({**CUSTOM, "name": "Blue"}),
        "must consist of lower case alphanumeric characters or '-'",
    ),
    "no-predictor": (
        {**isvc(), "spec": {}},
        "spec.predictor: Required value",
    ),
    "no-implementation": (isvc({}), "exactly one of [sklearn, xgboost, "),
    "empty-containers": (isvc({"containers": []}), "must be specified in PredictorSpec"),
    "two-frameworks": (isvc({"sklearn": {}, "model": MODEL}), "exactly one of [sklearn"),
    "framework-and-own-container": (
        isvc({"model": MODEL, **CUSTOM}),
        "exactly one of [sklearn",
    ),
    "transformer-empty": (isvc(transformer={}), "must be specified in TransformerSpec"),
    "explainer-empty": (isvc(explainer={}), "must be specified in ExplainerSpec"),
    "explainer-twice": (
        isvc(explainer={"art": {}, **CUSTOM}),
        "exactly one of [art, containers] must be specified in ExplainerSpec",
    ),
    "fewest-negative": (
        isvc({**CUSTOM, "minReplicas": -1}),
        "'MinReplicas' cannot be less than 0",
    ),
    "most-negative": (
        isvc({**CUSTOM, "maxReplicas": -1}),
        "'MaxReplicas' cannot be less than 0",
    ),
    "fewest-above-most": (
        isvc({**CUSTOM, "minReplicas": 3, "maxReplicas": 2}),
        "'MinReplicas' cannot be greater than MaxReplicas",
    ),
    "transformer-fewest-above-most": (
        isvc(transformer={**CUSTOM, "minReplicas": 3, "maxReplicas": 2}),
        "'MinReplicas' cannot be greater than MaxReplicas",
    ),
    "explainer-fewest-above-most": (
        isvc(explainer={**CUSTOM, "minReplicas": 3, "maxReplicas": 2}),
        "'MinReplicas' cannot be greater than MaxReplicas",
    ),
    "replicas-not-a-number": (
        isvc({**CUSTOM, "minReplicas": "x"}),
        "spec.predictor.minReplicas",
    ),
    "concurrency-negative": (
        isvc({**CUSTOM, "containerConcurrency": -1}),
        "parallelism cannot be less than 0",
    ),
    "scale-metric-unknown": (
        isvc({**CUSTOM, "scaleMetric": "gpu"}),
        'Unsupported value: "gpu"',
    ),
    "framework-name-set": (
        isvc({"sklearn": {"name": "x"}}),
        "the 'name' field is not allowed in standard predictor",
    ),
    "both-storages": (
        isvc({"model": MODEL, "storageUris": uris("/mnt/a")}),
        "Setting both StorageURI and StorageURIs is not supported.",
    ),
    "both-storages-of-explainer": (
        isvc(explainer={"art": {"storageUri": "s3://a"}, "storageUris": uris("/mnt/a")}),
        "Setting both StorageURI and StorageURIs is not supported.",
    ),
    "no-storage-uris": (isvc({"model": {}, "storageUris": []}), "should have at least 1 items"),
    "mount-path-relative": (
        isvc({"model": {}, "storageUris": uris("mnt")}),
        "must be an absolute path other than /",
    ),
    "mount-path-is-root": (
        isvc({"model": {}, "storageUris": uris("/")}),
        "must be an absolute path other than /",
    ),
    "mount-path-goes-up": (
        isvc({"model": {}, "storageUris": uris("/mnt/../etc")}),
        "must not contain ..",
    ),
    "mount-paths-apart": (
        isvc({"model": {}, "storageUris": uris("/mnt/a", "/data/b")}),
        "must have a parent directory (not /) in common",
    ),
    "claims-on-one-path": (
        isvc({"model": {}, "storageUris": uris("/mnt/a", "/mnt/a", scheme="pvc")}),
        "mount paths of pvc:// must be unique",
    ),
    "python-path": (
        isvc(own(**PATH_ENV)),
        'setting PYTHONPATH in container "kserve-container" is not allowed for security reasons',
    ),
    "python-path-in-framework": (
        isvc({"sklearn": PATH_ENV}),
        'setting PYTHONPATH in container "kserve-container" is not allowed for security reasons',
    ),
    "python-path-in-init-container": (
        isvc({**CUSTOM, "initContainers": [{"name": "init", "image": "x", **PATH_ENV}]}),
        'setting PYTHONPATH in container "init" is not allowed for security reasons',
    ),
    "python-path-in-worker": (
        isvc({"model": MODEL, "workerSpec": own(**PATH_ENV)}),
        "is not allowed for security reasons",
    ),
    "python-path-in-explainer": (
        isvc(explainer={"art": PATH_ENV}),
        "is not allowed for security reasons",
    ),
    "protocol-v3": (
        isvc(own(**env("PROTOCOL", "v3"))),
        "invalid protocol. Must be one of [v1, v2]",
    ),
    "storage-in-collocated-transformer": (
        isvc(
            {
                "model": MODEL,
                "containers": [
                    {**CONTAINER, "name": "transformer-container", **env("STORAGE_URI", "s3://a")}
                ],
            }
        ),
        "storage uri should not be specified in transformer container",
    ),
    "two-workers": (
        isvc({"model": MODEL, "workerSpec": {"containers": [CONTAINER, {"name": "b"}]}}),
        "only one worker container is allowed",
    ),
    "no-pipeline": (
        isvc({"model": MODEL, "workerSpec": {**CUSTOM, "pipelineParallelSize": 0}}),
        "pipelineParallelSize cannot be less than 1",
    ),
    "no-tensor": (
        isvc({"model": MODEL, "workerSpec": {**CUSTOM, "tensorParallelSize": 0}}),
        "tensorParallelSize cannot be less than 1",
    ),
    "logger-mode-unknown": (
        isvc({**CUSTOM, "logger": {"mode": "some"}}),
        'supported values: "all", "request", "response"',
    ),
    "logger-without-mode": (isvc({**CUSTOM, "logger": {"url": "x"}}), "invalid logger type"),
    "logger-storage-incomplete": (
        isvc({**CUSTOM, "logger": {"mode": "all", "storage": {"path": "a"}}}),
        "invalid logger storage configuration",
    ),
    "confidential-without-model": (
        isvc({"model": {"confidential": {"enabled": True}}}),
        "confidential needs a storageUri",
    ),
    "confidential-key-elsewhere": (
        isvc({"model": {**MODEL, "confidential": {"resourceId": "http://a"}}}),
        "resourceId must look like kbs:///repository/type/tag",
    ),
    "canary-without-name": (
        isvc({"model": MODEL}, canary=[canary(name="")]),
        "each canary needs a predictor.name",
    ),
    "canaries-of-one-name": (
        isvc({"model": MODEL}, canary=[canary(), canary()]),
        "the names of canaries must be unique",
    ),
    "canary-named-as-stable": (
        isvc({"model": MODEL, "name": "b"}, canary=[canary()]),
        "the name of a canary must differ from the stable predictor's",
    ),
    "canary-above-a-hundred": (
        isvc({"model": MODEL}, canary=[canary(101)]),
        "trafficPercent of a canary must be between 0 and 100",
    ),
    "canaries-above-a-hundred": (
        isvc({"model": MODEL}, canary=[canary(60), canary(60, name="c")]),
        "the sum of trafficPercent of all canaries cannot be greater than 100",
    ),
    "canary-of-own-container": (
        isvc(CUSTOM, canary=[canary()]),
        "a canary needs a stable predictor with a storageUri or a model",
    ),
    "canary-with-more-replicas": (
        isvc({"model": MODEL}, canary=[canary(minReplicas=2)]),
        "minReplicas of a canary cannot be greater than the stable predictor's",
    ),
    "canary-with-max-replicas": (
        isvc({"model": MODEL}, canary=[canary(maxReplicas=2)]),
        "a canary cannot have maxReplicas",
    ),
    "canary-with-scale-target": (
        isvc({"model": MODEL}, canary=[canary(scaleTarget=2)]),
        "a canary cannot have scaleTarget",
    ),
    "canary-with-scale-metric": (
        isvc({"model": MODEL}, canary=[canary(scaleMetric="cpu")]),
        "a canary cannot have scaleMetric",
    ),
    "canary-with-auto-scaling": (
        isvc({"model": MODEL}, canary=[canary(autoScaling={})]),
        "a canary cannot have autoScaling",
    ),
    "canary-with-workers": (
        isvc({"model": MODEL}, canary=[canary(workerSpec=CUSTOM)]),
        "a canary cannot have workerSpec",
    ),
    "field-misspelt": (isvc({**CUSTOM, "minReplcas": 1}), "minReplcas"),
    "quantity-malformed": (
        isvc(own(resources={"limits": {"cpu": "lots"}})),
        "resources.limits.cpu",
    ),
    "container-name-twice": (isvc({"containers": [CONTAINER, CONTAINER]}), "kserve-container"),
    "model-name-with-dot": (
        model(name="a.b"),
        (
            "a Trained Model name must consist of alphanumeric characters, '_', or '-'. "
            '(e.g. "my-Name" or "abc_123", regex used for validation is \'^[a-zA-Z0-9_-]+$\')'
        ),
    ),
    "model-scheme-unknown": (
        model(storageUri="ftp://a"),
        (
            "storageUri field is invalid. The storage uri must start with one of the prefixes: "
            "s3://, gs://, https://, http://, az://, hf://, pvc://. "
            '(the storage uri given is "ftp://a")'
        ),
    ),
    "model-memory-zero": (model(memory="0"), "must be greater than 0"),
    "model-memory-negative": (model(memory="-1Gi"), "must be greater than 0"),
    "model-memory-malformed": (model(memory="big"), "spec.model.memory"),
    "model-parent-malformed": (
        model(parent="A"),
        "must be the name of an InferenceService in the same namespace",
    ),
    "model-without-framework": (
        model(framework=None),
        "spec.model.framework",
    ),
    "runtime-priorities-differ": (
        runtime(supportedModelFormats=formats(1, 2)),
        "different priorities assigned for one model format",
    ),
    "runtime-priority-zero": (runtime(supportedModelFormats=formats(0)), "must be at least 1"),
    "runtime-without-containers": (
        {**runtime(), "spec": {}},
        "spec.containers: Required value",
    ),
    "runtime-with-two-workers": (
        runtime(workerSpec={"containers": [CONTAINER, {"name": "b"}]}),
        "only one worker container is allowed",
    ),
    "runtime-without-pipeline": (
        runtime(workerSpec={"containers": [CONTAINER], "pipelineParallelSize": 0}),
        "pipelineParallelSize cannot be less than 1",
    ),
    "runtime-without-tensor": (
        runtime(workerSpec={"containers": [CONTAINER], "tensorParallelSize": 0}),
        "tensorParallelSize cannot be less than 1",
    ),
    "runtime-python-path": (
        runtime(containers=[{**CONTAINER, **PATH_ENV}]),
        'setting PYTHONPATH in container "kserve-container" is not allowed for security reasons',
    ),
}


def renamed(name: str, predictor: dict[str, Any]) -> dict[str, Any]:
    return isvc({**predictor, "name": name}, name="renamed")


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "memory-spelt-otherwise": (model(memory="1Gi"), model(memory="1024Mi"), ""),
    "memory-spelt-as-number": (model(memory="1Gi"), model(memory=1073741824), ""),
    "storage-uri-changed": (model(), model(storageUri="gs://bucket/b"), ""),
    "memory-changed": (
        model(memory="1Gi"),
        model(memory="2Gi"),
        'memory field is immutable. The memory was "1Gi" but it is updated to "2Gi"',
    ),
    "predictor-renamed-with-its-model": (
        renamed("a", {"model": MODEL}),
        renamed("b", {"model": {**MODEL, "storageUri": "gs://bucket/b"}}),
        "",
    ),
    "predictor-renamed-alone": (
        renamed("a", {"model": MODEL}),
        renamed("b", {"model": MODEL}),
        "predictor.name change requires a model change (e.g. storageUri)",
    ),
    "own-container-changed": (isvc(), isvc(own(image="example/server:2")), ""),
    "workers-taken-away": (
        runtime(workerSpec={"containers": [CONTAINER]}),
        runtime(),
        "workerSpec cannot be removed",
    ),
    "workers-kept": (
        runtime(workerSpec={"containers": [CONTAINER]}),
        runtime(multiModel=False, workerSpec={"containers": [CONTAINER]}),
        "",
    ),
}
