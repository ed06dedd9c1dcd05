import json
from typing import Any

import pytest

from shoal.api import settings


def data(key: str, **fields: Any) -> dict[str, str]:
    return {key: json.dumps(fields)}


def test_without_a_config_map_everything_has_a_default() -> None:
    config = settings.parse({}, default_image="shoal:1")

    assert config.ingress.domain_template == "{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}"
    assert (config.ingress.ingress_domain, config.ingress.url_scheme) == ("example.com", "http")
    assert (config.ingress.ingress_class_name, config.cluster_domain) == ("", "cluster.local")
    assert (config.agent.image, config.storage_initializer.image) == ("shoal:1", "shoal:1")
    assert (config.agent.cpu_request, config.agent.memory_limit) == ("100m", "1Gi")
    assert (config.deploy.max_surge, config.deploy.max_unavailable) == (None, None)
    assert config.deploy.default_deployment_mode == "Standard"
    server = config.inference_service
    assert (server.cpu_limit, server.memory_limit) == ("1", "2Gi")
    assert (server.cpu_request, server.memory_request) == ("1", "2Gi")


def test_fields_are_read_in_upstreams_formats() -> None:
    config = settings.parse(
        {
            **data(
                "ingress",
                ingressDomain="models.io",
                domainTemplate="{{ .Name }}.{{ .IngressDomain }}",
                disableIngressCreation=True,
            ),
            **data("agent", image="mine:2", cpuLimit=2, memoryLimit="2Gi"),
            **data(
                "deploy",
                defaultDeploymentMode="RawDeployment",
                deploymentRolloutStrategy={"defaultRollout": {"maxSurge": "1"}},
            ),
            **data("inferenceService", resource={"cpuLimit": "4", "memoryRequest": None}),
        }
    )

    assert config.ingress.ingress_domain == "models.io"
    assert config.ingress.domain_template == "{{ .Name }}.{{ .IngressDomain }}"
    assert config.ingress.disable_ingress_creation
    assert (config.agent.image, config.agent.cpu_limit) == ("mine:2", "2")
    assert (config.deploy.default_deployment_mode, config.deploy.max_surge) == ("Standard", "1")
    assert config.inference_service.cpu_limit == "4"
    assert config.inference_service.memory_request == "2Gi"


def test_disallowed_lists_are_appended_to_the_built_in_ones() -> None:
    fields = {"serviceAnnotationDisallowedList": ["a"], "serviceLabelDisallowedList": ["b"]}
    server = settings.parse(data("inferenceService", **fields)).inference_service

    assert server.service_annotation_disallowed_list == (*settings.DISALLOWED_ANNOTATIONS, "a")
    assert server.service_label_disallowed_list == (*settings.DISALLOWED_LABELS, "b")


def test_what_no_part_reads_is_left_alone() -> None:
    config = {"_example": "not json", "explainers": "[", **data("ingress", localGateway="x/y")}

    assert settings.parse(config) == settings.parse({})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"ingress": "{"}, "key ingress: not JSON: ", id="no-json"),
        pytest.param({"deploy": "[]"}, "key deploy: must be a JSON object, got '[]'", id="list"),
        pytest.param(
            data("ingress", enableGatewayApi=True),
            "key ingress: field enableGatewayApi: the Gateway API is not served by this version",
            id="gateway-api",
        ),
        pytest.param(
            data("ingress", domainTemplate="{{ .Name"),
            "key ingress: field domainTemplate: must be a template such as {{ .Name }}",
            id="template-left-open",
        ),
        pytest.param(
            data("ingress", urlScheme="ftp"), "key ingress: field urlScheme: ", id="scheme"
        ),
        pytest.param(
            data("deploy", defaultDeploymentMode="Serverless"),
            "key deploy: field defaultDeploymentMode: only Standard is served, got 'Serverless'",
            id="knative",
        ),
        pytest.param(
            data("agent", cpuLimit=""),
            "key agent: field cpuLimit: '' is not a quantity",
            id="empty-quantity",
        ),
        pytest.param(
            data("inferenceService", resource={"cpuLimit": True}),
            "key inferenceService: field resource.cpuLimit: must be a quantity",
            id="quantity-of-a-wrong-type",
        ),
        pytest.param(
            data("agent", memoryLimit="50Mi", memoryRequest="60Mi"),
            "key agent: memoryRequest 60Mi is above memoryLimit 50Mi; lower it",
            id="request-above-limit",
        ),
        pytest.param(
            data("inferenceService", resource={"cpuLimit": 1, "cpuRequest": "1500m"}),
            "key inferenceService: cpuRequest 1500m is above cpuLimit 1; lower it",
            id="request-above-limit-of-a-server",
        ),
        pytest.param(
            data("inferenceService", resource="2Gi"),
            "key inferenceService: field resource: Input should be a valid dictionary",
            id="text-for-an-object",
        ),
        pytest.param(
            data("inferenceService", serviceLabelDisallowedList="a"),
            "key inferenceService: field serviceLabelDisallowedList: ",
            id="text-for-a-list",
        ),
        pytest.param(
            data("storageInitializer", ociModelMode="other"),
            "key storageInitializer: field ociModelMode: must be modelcar, native, or empty",
            id="oci-mode",
        ),
        pytest.param(
            data("storageInitializer", ociModelMode="fetch"),
            "key storageInitializer: field ociModelMode: images are not fetched by this version,"
            " write modelcar, native, or leave it empty, got 'fetch'",
            id="images-are-not-fetched",
        ),
        pytest.param(
            data("storageInitializer", uidModelcar=-1),
            "key storageInitializer: field uidModelcar: ",
            id="no-user",
        ),
    ],
)
def test_a_wrong_value_is_named_by_key_and_field(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match="key ") as raised:
        settings.parse(wrong)

    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("given", "request_", "limit"),
    [
        ({"memoryLimit": "50Mi"}, "50Mi", "50Mi"),
        ({"memoryRequest": "2Gi"}, "2Gi", "2Gi"),
        ({"memoryLimit": "2Gi"}, "100Mi", "2Gi"),
        ({"memoryRequest": "50Mi"}, "50Mi", "1Gi"),
        ({"memoryLimit": "0"}, "100Mi", "0"),
        ({"memoryLimit": 0, "memoryRequest": "2Gi"}, "2Gi", "0"),
        ({"memoryLimit": "50Mi", "memoryRequest": None}, "50Mi", "50Mi"),
        ({"memoryLimit": "50Mi", "memoryRequest": "0"}, "0", "50Mi"),
    ],
    ids=str,
)
def test_a_default_follows_the_end_that_is_given(
    given: dict[str, Any], request_: str, limit: str
) -> None:
    agent = settings.parse(data("agent", **given)).agent
    assert (agent.memory_request, agent.memory_limit) == (request_, limit)
    serving = settings.parse(data("storageInitializer", **given)).storage_initializer
    assert (serving.memory_request, serving.memory_limit) == (request_, limit)


def test_gateway_api_switched_off_is_fine() -> None:
    assert not settings.parse(data("ingress", enableGatewayApi=False)).ingress.enable_gateway_api


@pytest.mark.weakness("C26")
def test_routing_by_path_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"key ingress.*pathTemplate.*leave it empty"):
        settings.parse({"ingress": '{"pathTemplate": "/{{ .Name }}"}'})
