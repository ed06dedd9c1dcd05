import pytest

from shoal.api import inferenceservices, settings
from shoal.desired import urls
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders

SERVICE = inferenceservices.parse(
    builders.inference_service(
        "m", namespace="ns", annotations={"team": "blue", "a.b/c-d": "green"}, labels={"x": "y"}
    )
)


def _config(**ingress: str) -> settings.ServingConfig:
    return settings.ServingConfig.model_validate({"ingress": ingress})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param(settings.DOMAIN_TEMPLATE, "m.ns.example.com", id="the-default"),
        pytest.param(
            "{{.Name}}-{{ .Namespace }}.{{- .IngressDomain -}}", "m-ns.example.com", id="go"
        ),
        pytest.param("{{ Name }}.{{ Namespace }}.x", "m.ns.x", id="jinja"),
        pytest.param("{{ .Annotations.team }}.x.y", "blue.x.y", id="go-annotation"),
        pytest.param("{{ .Labels.x }}.z.y", "y.z.y", id="go-label"),
        pytest.param('{{ index .Annotations "a.b/c-d" }}.x', "green.x", id="go-index"),
        pytest.param('{{ Annotations["a.b/c-d"] }}.x', "green.x", id="jinja-index"),
    ],
)
def test_host(template: str, expected: str) -> None:
    assert urls.host(_config(domainTemplate=template), "m", SERVICE) == expected


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{{ .Name }}", id="one-label-is-no-domain"),
        pytest.param("{{ .Annotations.missing }}.x", id="an-annotation-that-is-not-there"),
        pytest.param("{{ .Nonsense }}.x", id="a-word-that-is-unknown"),
        pytest.param("{{ .Name | }}.x", id="no-template"),
        pytest.param("{{ 1 / 0 }}.x", id="arithmetic"),
        pytest.param("{{ Name + 1 }}.x", id="types"),
        pytest.param("{{ Name.__class__.__mro__ }}.x", id="out-of-the-sandbox"),
        pytest.param("A.{{ .Name }}", id="upper-case"),
        pytest.param("{{ .Name }}.b\nc", id="a-line-break"),
        pytest.param("{{ .Name }}." + "a" * 64, id="a-label-too-long"),
        pytest.param("{{ .Name }}" + ".abcdefgh" * 30, id="a-name-too-long"),
    ],
)
def test_a_template_without_a_host_is_refused(template: str) -> None:
    with pytest.raises(StalledError, match=r"key ingress, field domainTemplate: ") as error:
        urls.host(_config(domainTemplate=template), "m", SERVICE)
    assert error.value.reason == Reason.CONFIG_INVALID


def test_urls_of_a_service() -> None:
    config = _config(urlScheme="https")
    assert urls.url(config, SERVICE) == "https://m.ns.example.com"
    assert urls.component_url(config, SERVICE) == "http://m-predictor.ns.example.com"
    assert urls.address(config, SERVICE) == "http://m-predictor.ns.svc.cluster.local"


def test_the_address_of_a_headless_service_has_the_servers_port() -> None:
    headless = settings.ServingConfig.model_validate({"service": {"serviceClusterIPNone": True}})
    inside = "http://m-predictor.ns.svc.cluster.local"
    assert urls.address(headless, SERVICE, 9000) == f"{inside}:9000"
    assert urls.address(_config(), SERVICE, 9000) == inside


@pytest.mark.weakness("C5")
def test_a_service_of_the_cluster_alone_has_no_url_from_outside() -> None:
    body = builders.inference_service(
        "m", namespace="ns", labels={"networking.kserve.io/visibility": "cluster-local"}
    )
    service, inside = inferenceservices.parse(body), "http://m-predictor.ns.svc.cluster.local"
    assert urls.url(_config(), service) == inside
    assert urls.component_url(_config(), service) == inside


def test_model_path() -> None:
    assert urls.model_path("m1", "v2") == "/v2/models/m1/infer"
    assert urls.model_path("m1", "v1") == "/v1/models/m1:predict"
    assert urls.model_path("m1", "grpc-v2") == ""
