"""The agent beside the user's container: its container, its volumes, the mounts it shares.

Called by `deployments` for hosts. Models live in two volumes: the store holds the bytes, and
`/mnt/models/<model>` is a link into it that the agent switches at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal import names
from shoal.api import quantities
from shoal.api.settings import AgentConfig
from shoal.desired import metadata, roles
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import servers

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
    server = servers.server_index(pod["containers"])
    _refuse_conflicts(pod, server)
    users = list(pod["containers"])
    port = servers.server_port(users[server])
    users[server] = _with_models(wanted, users[server])
    return {
        "automountServiceAccountToken": False,
        **pod,
        "containers": [*users, make(wanted, port, _claims(pod))],
        "volumes": [*(pod.get("volumes") or []), *_volumes(wanted)],
    }


def make(
    wanted: Wanted, server_port: int, claims: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Make the agent's container; `claims` are mounts of volumes that hold models."""
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
            *claims,
        ],
    }


def _mount(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "mountPath": path, "readOnly": True}


def _claims(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Mount the claims of the pod, each once; one used as a raw device has no files."""
    devices = {
        row.get("name")
        for field in ("initContainers", "containers")
        for box in pod.get(field) or []
        for row in box.get("volumeDevices") or []
    }
    volumes = {
        volume["persistentVolumeClaim"]["claimName"]: volume["name"]
        for volume in reversed(pod.get("volumes") or [])
        if volume.get("persistentVolumeClaim") and volume["name"] not in devices
    }
    return [_mount(name, f"{names.CLAIM_DIR}/{claim}") for claim, name in sorted(volumes.items())]


def _env(wanted: Wanted, server_port: int) -> list[dict[str, Any]]:
    """Tell the agent what differs from service to service; directories are names.py's."""
    pod_name = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    values = {
        "SHOAL_NAMESPACE": wanted.namespace,
        "SHOAL_INFERENCE_SERVICE": wanted.name,
        "SHOAL_SERVICE_ACCOUNT": wanted.service.spec.predictor.service_account_name,
        "SHOAL_SERVER_URL": f"http://127.0.0.1:{server_port}",
        "SHOAL_STORAGE_SECRET": roles.storage_secret(wanted),
        "SHOAL_STORE_BYTES": _store_bytes(wanted),
        **_fetch_limits(wanted.config.agent),
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
    shards = [_mounted(wanted, shard) for shard in range(names.MOUNTED_SHARDS)]
    config = {"defaultMode": _READ_BY_ALL, "sources": shards}
    return [
        {"name": names.MODEL_DIR_VOLUME, "emptyDir": {}},
        {"name": names.MODEL_STORE_VOLUME, "emptyDir": _store(wanted)},
        {"name": names.MODEL_CONFIG_VOLUME, "projected": config},
        {"name": names.AGENT_TOKEN_VOLUME, "projected": _token()},
    ]


def _mounted(wanted: Wanted, shard: int) -> dict[str, Any]:
    """Mount a shard of the list of models, there or not: pods outlive its being made or gone."""
    keys = (names.MODELS_KEY, names.SHARDS_KEY)
    items = [{"key": key, "path": names.mounted_shard(shard, key)} for key in keys]
    name = names.model_config(wanted.name, shard)
    return {"configMap": {"name": name, "items": items, "optional": True}}


def _store(wanted: Wanted) -> dict[str, str]:
    """Bound the store as the agent bounds it: a volume that grows past its limit ends the pod."""
    limit = quantities.canonical(wanted.config.agent.store_limit)
    return {} if limit == "0" else {"sizeLimit": limit}


def _store_bytes(wanted: Wanted) -> str:
    limit = int(quantities.parse(wanted.config.agent.store_limit))
    return str(limit) if limit else ""


def _fetch_limits(config: AgentConfig) -> dict[str, str]:
    """Name the limits of downloads that are not the agent's own defaults."""
    usual = AgentConfig()
    values = {
        "SHOAL_FETCH_CONCURRENCY": (config.fetch_concurrency, usual.fetch_concurrency),
        "SHOAL_FETCH_MAX_FILES": (config.fetch_max_files, usual.fetch_max_files),
        "SHOAL_FETCH_MAX_BYTES": (
            int(quantities.parse(config.fetch_max_size)),
            int(quantities.parse(usual.fetch_max_size)),
        ),
        "SHOAL_FETCH_STALL_SECONDS": (config.fetch_stall_seconds, usual.fetch_stall_seconds),
        "SHOAL_FETCH_SECONDS": (config.fetch_seconds, usual.fetch_seconds),
        "SHOAL_ARCHIVE_RATIO": (config.archive_ratio, usual.archive_ratio),
    }
    return {name: str(value) for name, (value, default) in values.items() if value != default}


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
