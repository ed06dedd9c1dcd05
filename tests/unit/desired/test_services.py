import pytest

from shoal.desired import services
from shoal.errors import StalledError
from support import builders
from support.builders import Body, Json


def _ports(*given: Body) -> list[Body]:
    box = builders.container(ports=list(given))
    made = services.make(builders.wanted(builders.inference_service(containers=[box])))
    ports: list[Body] = made["spec"]["ports"]
    return ports


def _port(port: int, target: int, **more: Json) -> Body:
    return {"port": port, "targetPort": target, "protocol": "TCP", **more}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            [], [_port(80, 8080, name="custom-model-mms-predictor")], id="8080-without-ports"
        ),
        pytest.param([{"containerPort": 9000}], [_port(80, 9000)], id="one-without-a-name"),
        pytest.param(
            [{"containerPort": 9000, "name": "http1", "protocol": "TCP"}],
            [_port(80, 9000, name="http1")],
            id="one-with-a-name",
        ),
        pytest.param(
            [{"containerPort": 8080, "name": "http"}, {"containerPort": 9000, "name": "grpc"}],
            [
                _port(80, 8080, name="http"),
                _port(9000, 9000, name="grpc", appProtocol="kubernetes.io/h2c"),
            ],
            id="a-second-is-itself",
        ),
        pytest.param(
            [{"containerPort": 9000, "name": "h2c"}],
            [_port(80, 9000, name="h2c", appProtocol="kubernetes.io/h2c")],
            id="h2c",
        ),
        pytest.param(
            [{"containerPort": 1}, {"containerPort": 2}],
            [_port(80, 1, name="port-80"), _port(2, 2, name="port-2")],
            id="several-need-names",
        ),
        pytest.param(
            [{"containerPort": 1, "name": "a"}, {"containerPort": 80, "protocol": "UDP"}],
            [
                _port(80, 1, name="a"),
                {"port": 80, "targetPort": 80, "protocol": "UDP", "name": "port-80"},
            ],
            id="protocols-have-ports-of-their-own",
        ),
    ],
)
def test_ports(given: list[Body], expected: list[Body]) -> None:
    assert _ports(*given) == expected


def test_a_port_of_the_service_has_one_owner() -> None:
    with pytest.raises(StalledError, match=r"containers\[0\].ports\[1\].containerPort: port 80 "):
        _ports({"containerPort": 8080}, {"containerPort": 80})


def test_the_servers_ports_count_not_the_first_containers() -> None:
    boxes = [
        builders.container("side", ports=[{"containerPort": 1}]),
        builders.container(ports=[{"containerPort": 2}]),
    ]
    made = services.make(builders.wanted(builders.inference_service(containers=boxes)))
    assert made["spec"]["ports"] == [_port(80, 2)]


def test_a_headless_service_has_no_address_and_the_entry_has() -> None:
    wanted = builders.wanted(config={"service": {"serviceClusterIPNone": True}})
    assert services.make(wanted)["spec"]["clusterIP"] == "None"
    assert "clusterIP" not in services.make_entry(wanted)["spec"]
    assert "clusterIP" not in services.make(builders.wanted())["spec"]


def test_the_entry_is_no_second_service_of_the_predictor() -> None:
    wanted = builders.wanted(builders.inference_service(annotations={"prometheus.io/scrape": "1"}))
    entry, own = services.make_entry(wanted), services.make(wanted)
    assert entry["spec"] == own["spec"]
    assert entry["metadata"]["name"] == "custom-model-mms"
    assert "component" not in entry["metadata"]["labels"]
    assert "annotations" not in entry["metadata"]
    assert own["metadata"]["annotations"] == {"prometheus.io/scrape": "1"}
