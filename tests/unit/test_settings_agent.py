import pytest

from shoal.settings import AgentSettings, SettingsError

LEAST = {"SHOAL_NAMESPACE": "ns", "SHOAL_INFERENCE_SERVICE": "svc"}


def test_two_variables_are_enough() -> None:
    settings = AgentSettings.parse(LEAST)
    assert settings.service_account == "default"
    assert (settings.model_dir, settings.store_dir) == ("/mnt/models", "/mnt/store")
    assert settings.server_url == "http://127.0.0.1:8080"
    assert (settings.admin_port, settings.server_check_seconds) == (9082, 1)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param({}, "SHOAL_INFERENCE_SERVICE: must be set", id="nothing set"),
        pytest.param(LEAST | {"SHOAL_LOAD_SECONDS": "x"}, "LOAD_SECONDS: 'x' is no", id="word"),
        pytest.param(LEAST | {"SHOAL_FETCH_CONCURRENCY": "0"}, "greater than 0", id="zero"),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        AgentSettings.parse(environ)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        pytest.param({}, "https://kubernetes.default.svc", id="by name"),
        pytest.param({"SHOAL_API_URL": "http://h:1/"}, "http://h:1", id="as told"),
        pytest.param({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "https://10.0.0.1:443", id="IPv4"),
        pytest.param(
            {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"},
            "https://[fd00::1]:6443",
            id="IPv6",
        ),
    ],
)
def test_where_the_api_server_is(environ: dict[str, str], url: str) -> None:
    assert AgentSettings.parse(LEAST | environ).api_url == url
