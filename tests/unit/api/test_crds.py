from typing import Any

import pytest

from shoal.api import corev1, crds, podspecs

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def predictor() -> Schema:
    spec = _root("InferenceService")["properties"]["spec"]["properties"]
    properties: Schema = spec["predictor"]["properties"]
    return properties


def _root(kind: str) -> Schema:
    found = {crd["spec"]["names"]["kind"]: crd for crd in crds.all()}[kind]
    schema: Schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def test_the_pod_fields_are_all_that_kubernetes_has_but_one() -> None:
    known = corev1.named("V1PodSpec")["properties"].keys()

    assert known - podspecs.POD_FIELDS == {"ephemeralContainers"}
    assert known >= podspecs.POD_FIELDS


@pytest.mark.parametrize(
    ("field", "keys"),
    [("containers", ["name"]), ("volumes", ["name"]), ("hostAliases", ["ip"])],
)
def test_a_list_of_named_things_is_a_map(predictor: Schema, field: str, keys: list[str]) -> None:
    assert predictor[field]["x-kubernetes-list-type"] == "map"
    assert predictor[field]["x-kubernetes-list-map-keys"] == keys


def test_a_port_is_known_by_number_and_protocol(predictor: Schema) -> None:
    ports = predictor["containers"]["items"]["properties"]["ports"]

    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert ports["items"]["properties"]["protocol"]["default"] == "TCP"


def test_quantities_may_be_numbers(predictor: Schema) -> None:
    limits = predictor["model"]["properties"]["resources"]["properties"]["limits"]
    size = predictor["volumes"]["items"]["properties"]["emptyDir"]["properties"]["sizeLimit"]

    assert limits["additionalProperties"]["x-kubernetes-int-or-string"]
    assert size["x-kubernetes-int-or-string"]
    assert "type" not in size


def test_our_fields_are_described_and_kubernetes_are_not(predictor: Schema) -> None:
    assert predictor["minReplicas"]["description"] == "The fewest replicas, 1 without it."
    assert "description" not in predictor["containers"]
    assert "description" not in predictor["containers"]["items"]["properties"]["image"]
    assert predictor["deploymentStrategy"]["description"].startswith("How the Deployment")


def test_a_framework_has_the_whole_container_and_its_own_fields(predictor: Schema) -> None:
    framework = predictor["sklearn"]["properties"]

    assert {"storageUri", "ProtocolVersion", "image", "env", "livenessProbe"} <= framework.keys()
    assert "required" not in predictor["sklearn"]


def test_a_runtime_has_the_parts_of_a_pod_that_upstream_lets_it_have() -> None:
    spec = _root("ServingRuntime")["properties"]["spec"]

    assert spec["required"] == ["containers"]
    assert "tolerations" in spec["properties"]
    assert "serviceAccountName" not in spec["properties"]
