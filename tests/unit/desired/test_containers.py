from collections.abc import Mapping
from typing import Any

import pytest

from shoal.api import inferenceservices, settings
from shoal.desired import containers
from shoal.errors import StalledError
from support import builders

CONFIG = settings.ServingConfig()
NAME_ENV = {"name": "INFERENCE_SERVICE_NAME", "value": builders.SERVICE}
DEFAULTS = {"cpu": "1", "memory": "2Gi"}


def _made(*boxes: Mapping[str, Any]) -> list[dict[str, Any]]:
    body = builders.inference_service(containers=[dict(box) for box in boxes])
    server = builders.server(inferenceservices.parse(body))
    return containers.make(server, builders.SERVICE, CONFIG)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(["mine"], ["kserve-container"], id="a-single-one-is-renamed"),
        pytest.param(["", "side"], ["kserve-container", "side"], id="a-first-without-a-name"),
        pytest.param(["a", "b"], ["a", "b"], id="several-keep-their-names"),
        pytest.param(["a", "kserve-container"], ["a", "kserve-container"], id="in-any-place"),
    ],
)
def test_names(given: list[str], expected: list[str]) -> None:
    made = _made(*(builders.container(name) for name in given))
    assert [box["name"] for box in made] == expected


def test_every_container_learns_the_services_name_once() -> None:
    old = {"name": "INFERENCE_SERVICE_NAME", "value": "other"}
    other = {"name": "A", "value": "b"}
    made = _made(builders.container("a", env=[old, other]), builders.container("b"))
    assert [box["env"] for box in made] == [[other, NAME_ENV], [NAME_ENV]]


def test_what_the_user_says_wins_over_defaults() -> None:
    probe = {"httpGet": {"path": "/ready", "port": 1}}
    (made,) = _made(builders.container(readinessProbe=probe, imagePullPolicy="Always"))
    assert made["readinessProbe"] == probe
    assert made["imagePullPolicy"] == "Always"
    assert made["terminationMessagePolicy"] == "File"


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([{"containerPort": 9000}, {"containerPort": 1}], 9000, id="first-port"),
        pytest.param([], 8080, id="8080-without-ports"),
        pytest.param(None, 8080, id="8080-with-null"),
    ],
)
def test_readiness_is_asked_at_the_servers_port(
    ports: list[dict[str, int]] | None, expected: int
) -> None:
    (made,) = _made(builders.container(ports=ports))
    assert made["readinessProbe"]["tcpSocket"] == {"port": expected}


def test_only_known_names_get_a_probe() -> None:
    made = _made(builders.container("a"), builders.container("transformer-container"))
    assert ["readinessProbe" in box for box in made] == [False, True]


def test_only_the_server_gets_resources() -> None:
    made = _made(builders.container("a"), builders.container())
    assert "resources" not in made[0]
    assert made[1]["resources"] == {"requests": DEFAULTS, "limits": DEFAULTS}


@pytest.mark.weakness("C18")
@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        pytest.param(None, DEFAULTS, DEFAULTS, id="all-from-the-config"),
        pytest.param(
            {"limits": {"memory": "1024Mi"}, "requests": {"cpu": "0.5"}},
            {"cpu": "0.5", "memory": "1Gi"},
            {"cpu": "1", "memory": "1024Mi"},
            id="a-request-is-lowered-to-the-limit",
        ),
        pytest.param(
            {"requests": {"memory": "3Gi", "cpu": 2}},
            {"cpu": "2", "memory": "3Gi"},
            {"cpu": "2", "memory": "3Gi"},
            id="a-limit-is-raised-to-the-request",
        ),
        pytest.param(
            {"limits": {"nvidia.com/gpu": 1}},
            DEFAULTS,
            {**DEFAULTS, "nvidia.com/gpu": "1"},
            id="others-are-kept-as-strings",
        ),
    ],
)
def test_resources(
    given: dict[str, Any] | None, requests: dict[str, str], limits: dict[str, str]
) -> None:
    (made,) = _made(builders.container(resources=given))
    assert made["resources"] == {"requests": requests, "limits": limits}


def test_claims_of_resources_are_kept() -> None:
    (made,) = _made(builders.container(resources={"claims": [{"name": "gpu"}]}))
    assert made["resources"]["claims"] == [{"name": "gpu"}]


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param({"limits": {"cpu": "x"}}, id="limit"),
        pytest.param({"requests": {"cpu": "x"}, "limits": {"cpu": "1"}}, id="request"),
    ],
)
def test_what_is_no_quantity_is_refused_by_its_path(resources: dict[str, Any]) -> None:
    match = r"spec.predictor.containers\[1\].resources: cpu: 'x' is not a quantity"
    with pytest.raises(StalledError, match=match):
        _made(builders.container("a"), builders.container(resources=resources))


def test_the_users_manifest_is_left_as_it_is() -> None:
    box = builders.container(env=[{"name": "A", "value": "b"}], resources={"limits": {"cpu": 1}})
    before = repr(box)
    _made(box)
    assert repr(box) == before
