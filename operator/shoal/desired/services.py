"""The Services of a predictor (contract §2.6): its own, and the one named as the service."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from shoal import names
from shoal.desired import metadata
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import servers

HEADLESS: Final = "None"
"""The clusterIP of a Service without one."""


def make(wanted: Wanted) -> dict[str, Any]:
    """Make the predictor's Service.

    Raises:
        StalledError: two ports of the server need the same Service port.
    """
    made = _service(
        wanted,
        metadata.make_component(wanted),
    )
    if wanted.config.service.headless:
        made["spec"]["clusterIP"] = HEADLESS
    return made


def make_entry(wanted: Wanted) -> dict[str, Any]:
    """Make the Service by which pods call the InferenceService by its name (W1.7).

    It has no annotations and no component label: what scrapes, publishes or selects a
    predictor's Service must find one, not two. It keeps port 80 also where that one is headless.

    Raises:
        StalledError: as `make`.
    """
    return _service(
        wanted,
        metadata.make(
            wanted,
            names.entry_service(wanted.name),
            labels=metadata.object_labels(wanted),
            annotations={},
        ),
    )


def _service(wanted: Wanted, meta: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {
            "type": "ClusterIP",
            "selector": metadata.selector(wanted),
            "ports": _ports(wanted),
        },
    }


def _ports(wanted: Wanted) -> list[dict[str, Any]]:
    given = wanted.server.container.get("ports") or []
    if not given:
        return [_port(wanted.predictor, names.SERVICE_PORT, {})]
    ports = []
    for index, row in enumerate(given):
        number = names.SERVICE_PORT if index == 0 else row["containerPort"]
        # A Service with several ports needs a name for each.
        unnamed = names.service_port(number) if len(given) > 1 else ""
        ports.append(_port(row.get("name") or unnamed, number, row))
    _refuse_doubles(ports, wanted.server.path)
    return ports


def _port(name: str, number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    port = {
        "port": number,
        "targetPort": row.get("containerPort", names.DEFAULT_SERVER_PORT),
        "protocol": row.get("protocol") or "TCP",
    }
    if name:
        port["name"] = name
    if servers.is_grpc(name):
        port["appProtocol"] = "kubernetes.io/h2c"
    return port


def _refuse_doubles(ports: Iterable[Mapping[str, Any]], path: str) -> None:
    seen = set()
    for index, port in enumerate(ports):
        key = (port["port"], port["protocol"])
        if key in seen:
            raise StalledError(
                Reason.INVALID_SPEC,
                f"{path}.ports[{index}].containerPort: port {port['port']} of the Service is"
                " taken (the first container port answers at port 80); choose another",
            )
        seen.add(key)
