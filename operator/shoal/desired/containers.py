"""The server's containers, completed as the contract says (§2.4, §6.1 rule 3).

Used by `deployments`, `services` and `admission`. Nothing here changes what it is given.
"""

from collections.abc import Callable, Mapping
from typing import Any

from shoal import names
from shoal.api import quantities
from shoal.api.settings import ServingConfig
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import servers
from shoal.runtimes.servers import Server

Container = dict[str, Any]

_NAME_ENV = "INFERENCE_SERVICE_NAME"
_PROBED = frozenset({names.PREDICTOR_CONTAINER, names.TRANSFORMER_CONTAINER})
_DEFAULTS: Mapping[str, Any] = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
}


def make(server: Server, service: str, config: ServingConfig) -> list[Container]:
    """Make the containers of the predictor of a service, by its name, without the agent.

    Raises:
        StalledError: a quantity of the server's is none.
    """
    made = []
    for index, user in enumerate(server.containers):
        container = {**_DEFAULTS, **user}
        if index == 0 and (len(server.containers) == 1 or not user.get("name")):
            container["name"] = names.PREDICTOR_CONTAINER
        container["env"] = _env(user, service)
        if index == server.index:
            container["resources"] = server_resources(server, config)
        if container["name"] in _PROBED and not user.get("readinessProbe"):
            container["readinessProbe"] = _probe(container)
        made.append(container)
    return made


def server_resources(server: Server, config: ServingConfig) -> dict[str, Any]:
    """Complete the server's resources: only what is missing is filled in from the config.

    A filled-in request is lowered to the user's limit, and a filled-in limit raised to the
    user's request: the API server refuses a request above its limit (contract A.1's trap).

    Raises:
        StalledError: a quantity of the server's is none.
    """
    given = server.container.get("resources") or {}
    limits = _strings(given.get("limits"))
    requests = _strings(given.get("requests"))
    defaults = config.inference_service
    for name, request, limit in (
        ("cpu", defaults.cpu_request, defaults.cpu_limit),
        ("memory", defaults.memory_request, defaults.memory_limit),
    ):
        try:
            lower = _filled(requests.get(name), request, limits.get(name), min)
            upper = _filled(limits.get(name), limit, requests.get(name), max)
        except ValueError as error:
            path = f"{server.path}.resources"
            raise StalledError(Reason.INVALID_SPEC, f"{path}: {name}: {error}") from error
        requests |= {name: lower} if lower else {}
        limits |= {name: upper} if upper else {}
    return {**given, "limits": limits, "requests": requests}


def _strings(given: Mapping[str, Any] | None) -> dict[str, str]:
    """A manifest may say `cpu: 1`; the Kubernetes types know quantities as strings."""
    return {name: str(value) for name, value in (given or {}).items()}


def _filled(given: str | None, default: str, other: str | None, choose: Callable[..., str]) -> str:
    """Return what is given, else the default bounded by the other end; 0 fills nothing in."""
    if given is not None:
        quantities.parse(given)
        return given
    if not quantities.parse(default):
        return ""
    ends = [default] if other is None else [default, other]
    return quantities.canonical(choose(ends, key=quantities.parse))


def _env(user: Mapping[str, Any], service: str) -> list[dict[str, Any]]:
    kept = [row for row in user.get("env") or [] if row.get("name") != _NAME_ENV]
    return [*kept, {"name": _NAME_ENV, "value": service}]


def _probe(container: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tcpSocket": {"port": servers.server_port(container)},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
