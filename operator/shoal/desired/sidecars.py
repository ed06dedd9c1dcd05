"""The agent beside the user's container: its container, its volumes, the mounts it shares.

Called by `deployments` for hosts. Models live in two volumes: the store holds the bytes, and
`/mnt/models/<model>` is a link into it that the agent switches at once.
"""

from collections.abc import Mapping
from typing import Any, Final

from shoal import names
from shoal.api import quantities
from shoal.desired import containers, metadata, roles
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason

_TOKEN_DIR: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOKEN_SECONDS: Final = 3607  # the kubelet's own value for the tokens it mounts
_READ_BY_ALL: Final = 0o644
_VOLUMES: Final = frozenset(
    {
        names.MODEL_DIR_VOLUME,
        names.MODEL_STORE_VOLUME,
        names.MODEL_CONFIG_VOLUME,
        names.AGENT_TOKEN_VOLUME,
    }
)
_MOUNTS: Final = {
    names.MODEL_DIR_VOLUME: names.MODEL_DIR,
    names.MODEL_STORE_VOLUME: names.MODEL_STORE_DIR,
}


def inject(wanted: Wanted, pod: Mapping[str, Any]) -> dict[str, Any]:
    """Add the agent to a pod's spec.

    The API's token is mounted in the agent alone, unless the user decided about it.

    Raises:
        StalledError: the user's own container, volume, port or mount is where the agent's is.
    """
    server = containers.server_index(pod["containers"])
    _refuse_conflicts(pod, server)
    users = list(pod["containers"])
    port = containers.server_port(users[server])
    users[server] = _with_models(wanted, users[server])
    return {
        "automountServiceAccountToken": False,
        **pod,
        "containers": [*users, make(wanted, port)],
        "volumes": [*(pod.get("volumes") or []), *_volumes(wanted)],
    }


def make(wanted: Wanted, server_port: int) -> dict[str, Any]:
    """Make the agent's container."""
    return {
        "name": names.AGENT_CONTAINER,
        "image": wanted.config.agent.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["agent"],
        "env": _env(wanted, server_port),
        "ports": [
            {
                "name": names.AGENT_ADMIN_PORT_NAME,
                "containerPort": names.AGENT_ADMIN_PORT,
                "protocol": "TCP",
            }
        ],
        # Quick to say ready, because a new replica waits for it; slow to be killed.
        "readinessProbe": _probe("/readyz", period=1, timeout=2, failures=3),
        "livenessProbe": _probe("/livez", period=10, timeout=5, failures=6),
        "resources": _resources(wanted),
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in _MOUNTS.items()),
            _mount(names.MODEL_CONFIG_VOLUME, names.MODEL_CONFIG_DIR),
            _mount(names.AGENT_TOKEN_VOLUME, _TOKEN_DIR),
        ],
    }


def _mount(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "mountPath": path, "readOnly": True}


def _env(wanted: Wanted, server_port: int) -> list[dict[str, Any]]:
    """Tell the agent what differs from service to service; directories are names.py's."""
    pod_name = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    values = {
        "SHOAL_NAMESPACE": wanted.namespace,
        "SHOAL_INFERENCE_SERVICE": wanted.name,
        "SHOAL_MODEL_CONFIG": names.model_config(wanted.name),
        "SHOAL_SERVICE_ACCOUNT": wanted.service.spec.predictor.service_account_name,
        "SHOAL_SERVER_URL": f"http://127.0.0.1:{server_port}",
        "SHOAL_STORAGE_SECRET": roles.storage_secret(wanted),
    }
    return [
        {"name": "SHOAL_POD_NAME", "valueFrom": pod_name},
        *({"name": name, "value": value} for name, value in values.items() if value),
    ]


def _probe(path: str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": names.AGENT_ADMIN_PORT},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _resources(wanted: Wanted) -> dict[str, dict[str, str]]:
    agent = wanted.config.agent
    return {
        "requests": _canonical(cpu=agent.cpu_request, memory=agent.memory_request),
        "limits": _canonical(cpu=agent.cpu_limit, memory=agent.memory_limit),
    }


def _canonical(**given: str) -> dict[str, str]:
    """Spell as the API server does; 0 is none, as for the server's container."""
    spelt = {name: quantities.canonical(value) for name, value in given.items()}
    return {name: value for name, value in spelt.items() if value != "0"}


def _with_models(wanted: Wanted, server: Mapping[str, Any]) -> dict[str, Any]:
    """Mount the models into the server, read-only unless an annotation says otherwise."""
    annotations = metadata.component_annotations(wanted)
    writable = annotations.get(names.STORAGE_READ_ONLY_ANNOTATION) == "false"
    added = [
        {"name": name, "mountPath": path} | ({} if writable else {"readOnly": True})
        for name, path in _MOUNTS.items()
    ]
    return {**server, "volumeMounts": [*(server.get("volumeMounts") or []), *added]}


def _volumes(wanted: Wanted) -> list[dict[str, Any]]:
    config_map = {
        "name": names.model_config(wanted.name),
        "optional": True,  # a pod must start also where the ConfigMap comes a moment later
        "defaultMode": _READ_BY_ALL,
    }
    return [
        {"name": names.MODEL_DIR_VOLUME, "emptyDir": {}},
        {"name": names.MODEL_STORE_VOLUME, "emptyDir": {}},
        {"name": names.MODEL_CONFIG_VOLUME, "configMap": config_map},
        {"name": names.AGENT_TOKEN_VOLUME, "projected": _token()},
    ]


def _token() -> dict[str, Any]:
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "defaultMode": _READ_BY_ALL,
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
            {
                "configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }
            },
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
        ],
    }


def _refuse_conflicts(pod: Mapping[str, Any], server: int) -> None:
    for field in ("initContainers", "containers", "volumes"):
        for index, row in enumerate(pod.get(field) or []):
            taken = _VOLUMES if field == "volumes" else {names.AGENT_CONTAINER}
            if row.get("name") in taken:
                raise _refused(f"{field}[{index}].name", row["name"])
    for index, user in enumerate(pod["containers"]):
        _refuse_port(user, f"containers[{index}]")
    for number, mount in enumerate(pod["containers"][server].get("volumeMounts") or []):
        if str(mount.get("mountPath")).rstrip("/") in _MOUNTS.values():
            where = f"containers[{server}].volumeMounts[{number}].mountPath"
            raise _refused(where, mount["mountPath"])


def _refuse_port(user: Mapping[str, Any], where: str) -> None:
    """All containers of a pod share one address, so a port has one owner."""
    for number, port in enumerate(user.get("ports") or []):
        if port.get("containerPort") == names.AGENT_ADMIN_PORT:
            raise _refused(f"{where}.ports[{number}].containerPort", port["containerPort"])


def _refused(field: str, value: object) -> StalledError:
    return StalledError(
        Reason.INVALID_SPEC,
        f"spec.predictor.{field}: {value!r} is used by the agent that loads models into this"
        " server; choose another",
    )
