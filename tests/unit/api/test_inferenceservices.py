from typing import Any

import pytest

from shoal.api import inferenceservices
from shoal.api.inferenceservices import InferenceService
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders

BOX = builders.container()
MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER = "serving.kserve.io/autoscalerClass"


def parse(
    predictor: dict[str, Any] | None = None, *, annotations: Any = None, **spec: Any
) -> InferenceService:
    return inferenceservices.parse(
        {
            "metadata": builders.metadata("s", annotations=annotations or {}),
            "spec": {
                "predictor": {"containers": [BOX]} if predictor is None else predictor,
                **spec,
            },
        }
    )


def own(**fields: Any) -> dict[str, Any]:
    return {"containers": [BOX], **fields}


def test_own_fields_are_typed_and_the_pod_stays_raw() -> None:
    affinity = {"nodeAffinity": {"anything": ["goes"]}}
    predictor = parse(
        own(minReplicas=1, maxReplicas=3, scaleTarget=60, labels={"a": "b"}, affinity=affinity)
    ).predictor

    assert (predictor.min_replicas, predictor.max_replicas, predictor.scale_target) == (1, 3, 60)
    assert predictor.labels == {"a": "b"}
    assert predictor.pod == {"containers": [BOX], "affinity": affinity}
    assert predictor.containers == [BOX]


def test_what_is_absent_has_its_default() -> None:
    predictor = parse().predictor

    assert (predictor.name, predictor.min_replicas, predictor.auto_scaling) == ("", None, None)
    assert (predictor.labels, predictor.annotations) == ({}, {})
    assert predictor.service_account_name == "default"


def test_an_unknown_field_reaches_no_pod() -> None:
    assert "colour" not in parse(own(colour="blue", labels=None)).predictor.pod


@pytest.mark.parametrize("field", ["serviceAccountName", "serviceAccount"])
def test_the_service_account_is_read(field: str) -> None:
    assert parse(own(**{field: "reader"})).predictor.service_account_name == "reader"


@pytest.mark.parametrize(
    ("predictor", "expected"),
    [
        pytest.param(own(), False, id="own-container-has-none"),
        pytest.param({"sklearn": {}}, False, id="framework-without-uri-has-none"),
        pytest.param({"sklearn": {"storageUri": "s3://a"}}, True, id="storage-uri"),
        pytest.param({"model": {"storage": {"path": "a"}}}, True, id="storage-key"),
        pytest.param({"model": {}, "storageUris": [{"uri": "s3://a"}]}, True, id="storage-uris"),
        pytest.param(
            {"containers": [{**BOX, "env": [{"name": "STORAGE_URI", "value": "s3://a"}]}]},
            True,
            id="environment-of-own-container",
        ),
    ],
)
def test_storage_is_found_anywhere(predictor: dict[str, Any], *, expected: bool) -> None:
    assert parse(predictor).predictor.has_storage is expected


@pytest.mark.parametrize(
    ("framework", "protocol"),
    [
        pytest.param({"protocolVersion": "v2"}, "v2", id="as-upstream"),
        pytest.param({"ProtocolVersion": "v2"}, "v2", id="with-a-capital"),
        pytest.param({}, "", id="none"),
    ],
)
def test_the_protocol_is_read_in_both_spellings(framework: Any, protocol: str) -> None:
    sklearn = parse({"sklearn": {**framework, "image": "x"}}).predictor.sklearn

    assert sklearn is not None
    assert sklearn.protocol == protocol
    assert sklearn.container == {"image": "x"}


def test_an_annotation_of_the_predictor_wins() -> None:
    service = parse(own(annotations={"a": "predictor"}), annotations={"a": "service", "b": "s"})

    assert [service.annotation(key) for key in "abc"] == ["predictor", "s", ""]


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        pytest.param({}, "spec.predictor: exactly one of [sklearn, ", id="nothing"),
        pytest.param({"containers": []}, "spec.predictor: exactly one of", id="no-container"),
        pytest.param({"sklearn": {}, "model": {}}, "spec.predictor: exactly one", id="two"),
        pytest.param({"model": {}, "containers": [BOX]}, "spec.predictor: exactly", id="both"),
        pytest.param(
            {"containers": [BOX, BOX]}, "spec.predictor: exactly one", id="one-container-twice"
        ),
        pytest.param(
            own(minReplicas="two"),
            "spec.predictor.minReplicas: Input should be a valid integer, got 'two'",
            id="not-a-number",
        ),
        pytest.param(
            own(minReplicas=-1),
            "spec.predictor.minReplicas: 'MinReplicas' cannot be less than 0",
            id="fewest-negative",
        ),
        pytest.param(
            own(maxReplicas=-1),
            "spec.predictor.maxReplicas: 'MaxReplicas' cannot be less than 0",
            id="most-negative",
        ),
        pytest.param(
            own(minReplicas=3, maxReplicas=2),
            "spec.predictor.minReplicas: 'MinReplicas' cannot be greater than MaxReplicas",
            id="fewest-above-most",
        ),
        pytest.param(
            own(logger={"mode": "some"}),
            "spec.predictor.logger.mode: Input should be 'all', 'request' or 'response'",
            id="logger-mode",
        ),
        pytest.param(
            {"model": {}, "storageUris": [{"uri": ""}]},
            "spec.predictor.storageUris[0].uri: String should have at least 1 character, got ''",
            id="in-a-list",
        ),
        pytest.param(
            "sklearn", "spec.predictor: Input should be a valid dictionary", id="no-object"
        ),
    ],
)
def test_a_wrong_predictor_is_refused(predictor: dict[str, Any], message: str) -> None:
    with pytest.raises(StalledError) as raised:
        parse(predictor)

    assert raised.value.reason is Reason.INVALID_SPEC
    assert raised.value.message.startswith(message)


def test_a_spec_without_predictor_is_refused() -> None:
    with pytest.raises(StalledError, match=r"^spec\.predictor: field required$"):
        inferenceservices.parse({"metadata": builders.metadata("s")})


def test_an_unknown_autoscaler_is_refused() -> None:
    with pytest.raises(StalledError, match=r"\[abc\] is not a supported autoscaler class type"):
        parse(annotations={AUTOSCALER: "abc"})


@pytest.mark.parametrize("key", ["sklearn", "triton", "model"])
def test_a_framework_without_storage_is_served(key: str) -> None:
    assert inferenceservices.unsupported(parse({key: {}})) == []


IN_ENVIRONMENT = {"env": [{"name": "STORAGE_URI", "value": "s3://b/m"}]}


@pytest.mark.parametrize(
    ("predictor", "uri"),
    [
        pytest.param({"sklearn": {}}, "", id="a-host"),
        pytest.param({"sklearn": {"storageUri": "s3://b/m"}}, "s3://b/m", id="by-its-key"),
        pytest.param(
            {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://c/p"}},
            "pvc://c/p",
            id="by-its-format",
        ),
        pytest.param({"onnx": {"storageUri": "file:///m"}}, "file:///m", id="of-a-volume"),
        pytest.param({"huggingface": {"storageUri": "hf://o/m"}}, "hf://o/m", id="hugging-face"),
        pytest.param(
            {"huggingface": {"storage": {"path": "/o/m"}}}, "storage://o/m", id="by-its-path"
        ),
        pytest.param({"onnx": {"storage": {"path": ""}}}, "storage://", id="the-whole-store"),
        pytest.param(
            {"onnx": {"storageUri": "s3://b/m", "storage": {"key": "k"}}},
            "s3://b/m",
            id="with-a-key-for-it",
        ),
        pytest.param({"containers": [{**BOX, **IN_ENVIRONMENT}]}, "s3://b/m", id="own-container"),
        pytest.param({"containers": [BOX]}, "", id="own-container-without"),
    ],
)
def test_a_model_of_the_services_own_is_served(predictor: dict[str, Any], uri: str) -> None:
    service = parse(predictor)
    assert inferenceservices.unsupported(service) == []
    assert service.predictor.storage_uri == uri
    assert service.predictor.has_storage == bool(uri)


def test_many_models_of_the_services_own_are_served() -> None:
    service = parse({"huggingface": {}, "storageUris": [{"uri": "hf://o/m"}]})
    assert inferenceservices.unsupported(service) == []
    assert (service.predictor.storage_uri, service.predictor.has_storage) == ("", True)


def test_an_address_of_another_kind_is_refused_without_its_secrets() -> None:
    service = parse({"sklearn": {"storageUri": "git://user:password@host/model"}})
    (message,) = inferenceservices.unsupported(service)
    assert message == (
        "spec.predictor.sklearn.storageUri: git:// is not fetched by this version, write one that "
        "begins with s3://, gs://, https://, http://, az://, hf://, pvc://, "
        "file://, oci://, oci+native://"
    )


@pytest.mark.parametrize("annotations", [{}, {MODE: "Standard"}, {AUTOSCALER: "hpa"}])
def test_an_own_container_is_served_whole(annotations: dict[str, str]) -> None:
    service = parse(own(minReplicas=1, scaleMetric="cpu"), annotations=annotations)

    assert inferenceservices.unsupported(service) == []
    assert inferenceservices.ignored(service) == []


@pytest.mark.weakness("C28")
@pytest.mark.parametrize(
    ("service", "path"),
    [
        pytest.param(
            parse({"triton": {"storageUri": "hdfs://a/b"}}),
            "spec.predictor.triton.storageUri",
            id="storage-of-another-kind",
        ),
        pytest.param(
            parse({"sklearn": {"confidential": {}}}),
            "spec.predictor.sklearn.confidential",
            id="confidential",
        ),
        pytest.param(
            parse(
                own(storageUris=[{"uri": "s3://a"}, {"uri": "hdfs://a", "mountPath": "/mnt/b"}])
            ),
            "spec.predictor.storageUris[1].uri",
            id="one-of-many-of-another-kind",
        ),
        pytest.param(parse(own(workerSpec={})), "spec.predictor.workerSpec", id="workers"),
        pytest.param(
            parse({"containers": [{**BOX, "env": [{"name": "STORAGE_URI", "value": "a"}]}]}),
            "spec.predictor.containers[0].env[STORAGE_URI]",
            id="storage-in-environment",
        ),
        pytest.param(
            parse({"containers": [{**BOX, "env": [{"name": "STORAGE_URI", "valueFrom": {}}]}]}),
            "spec.predictor.containers[0].env[STORAGE_URI]",
            id="storage-from-elsewhere",
        ),
        pytest.param(
            parse({"containers": [{"name": "a"}, {**BOX, **IN_ENVIRONMENT}]}),
            "spec.predictor.containers[1].env[STORAGE_URI]",
            id="storage-of-a-second-container",
        ),
        pytest.param(
            parse({"sklearn": {}, "containers": [{"name": "side", **IN_ENVIRONMENT}]}),
            "spec.predictor.containers[0].env[STORAGE_URI]",
            id="storage-beside-a-framework",
        ),
        pytest.param(parse(transformer=own()), "spec.transformer", id="transformer"),
        pytest.param(parse(explainer=own()), "spec.explainer", id="explainer"),
        pytest.param(
            parse(canary=[{"predictor": own(), "trafficPercent": 5}]), "spec.canary", id="canary"
        ),
        pytest.param(
            parse(annotations={MODE: "Serverless"}), f"metadata.annotations[{MODE}]", id="knative"
        ),
    ],
)
def test_what_is_not_served_is_named_with_what_to_do(service: InferenceService, path: str) -> None:
    (message,) = inferenceservices.unsupported(service)

    assert message.startswith(f"{path}: ")
    assert "remove" in message or "write" in message or "describe" in message


@pytest.mark.parametrize(
    ("predictor", "paths"),
    [
        pytest.param(own(logger={"mode": "all"}), ["spec.predictor.logger"], id="logger"),
        pytest.param(own(batcher={}), ["spec.predictor.batcher"], id="batcher"),
        pytest.param(own(timeout=0), ["spec.predictor.timeout"], id="timeout-even-if-zero"),
        pytest.param(
            own(canaryTrafficPercent=5, containerConcurrency=1),
            ["spec.predictor.canaryTrafficPercent", "spec.predictor.containerConcurrency"],
            id="several",
        ),
        pytest.param(own(scaleMetric="rps"), ["spec.predictor.scaleMetric"], id="metric"),
        pytest.param(
            own(autoScaling={"metrics": [{"type": "Resource", "resource": {}}, {"type": "X"}]}),
            ["spec.predictor.autoScaling.metrics[0]", "spec.predictor.autoScaling.metrics[1]"],
            id="metric-without-a-resource",
        ),
        pytest.param(
            own(autoScaling={"metrics": [{"resource": {"name": "cpu"}}, {"external": {}}]}),
            ["spec.predictor.autoScaling.metrics[1]"],
            id="external-metric",
        ),
        pytest.param(own(autoScaling={}), [], id="no-metrics"),
        pytest.param(
            {"onnx": {"storage": {"path": "a", "schemaPath": "b"}}},
            ["spec.predictor.onnx.storage.schemaPath"],
            id="schema-path",
        ),
        pytest.param(
            {"sklearn": {"protocolVersion": "v1", "ProtocolVersion": "v2"}},
            ["spec.predictor.sklearn.ProtocolVersion"],
            id="the-misspelt-of-two",
        ),
    ],
)
def test_what_has_no_effect_is_listed(predictor: dict[str, Any], paths: list[str]) -> None:
    assert inferenceservices.ignored(parse(predictor)) == paths


@pytest.mark.parametrize(
    ("predictor", "paths"),
    [
        ({"sklearn": {"ProtocolVersion": "v2"}}, ["spec.predictor.sklearn.ProtocolVersion"]),
        ({"model": {"ProtocolVersion": "v2"}}, ["spec.predictor.model.ProtocolVersion"]),
        ({"sklearn": {"ProtocolVersion": "v2", "protocolVersion": "v2"}}, []),
        ({"sklearn": {"protocolVersion": "v2"}}, []),
        (own(), []),
    ],
    ids=["old-key", "model", "both", "as-upstream", "none"],
)
def test_what_is_misspelt_is_listed(predictor: dict[str, Any], paths: list[str]) -> None:
    assert inferenceservices.misspelt(parse(predictor)) == paths


def test_external_metrics_have_an_effect_with_keda() -> None:
    metrics = [{"external": {"metric": {}}}, {"podmetric": {"metric": {}}}]
    service = parse(own(autoScaling={"metrics": metrics}), annotations={AUTOSCALER: "keda"})
    assert inferenceservices.unsupported(service) == []
    assert inferenceservices.ignored(service) == ["spec.predictor.autoScaling.metrics[1]"]
