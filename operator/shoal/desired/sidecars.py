"""The agent beside the user's container: its container, its volumes, the mounts it shares.

Called by `deployments` for hosts. Models live in two volumes: the store holds the bytes, and
`/mnt/models/<model>` is a link into it that the agent switches at once.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from shoal import names
from shoal.api import quantities
from shoal.api.settings import AgentConfig
from shoal.desired import additions, bundles, credentials
from shoal.desired.wanted import Wanted
from shoal.runtimes import servers

_USER: Final = "the agent that loads models into this server"
_MOUNTS: Final = {
    names.MODEL_DIR_VOLUME: names.MODEL_DIR,
    names.MODEL_STORE_VOLUME: names.MODEL_STORE_DIR,
}
_LIFECYCLE: Final = {
    "preStop": {"httpGet": {"path": names.AGENT_DRAIN_PATH, "port": names.AGENT_ADMIN_PORT}}
}


def inject(wanted: Wanted, pod: Mapping[str, Any]) -> dict[str, Any]:
    """Add the agent to a pod's spec.

    The API's token is mounted in the agent alone, unless the user decided about it.

    Raises:
        StalledError: the user's own container, volume, port or mount is where the agent's is.
    """
    server = servers.server_index(pod["containers"])
    _refuse_conflicts(pod, server, {row["name"] for row in _volumes(wanted)})
    users = list(pod["containers"])
    port = servers.server_port(users[server])
    users[server] = _drained(_with_models(wanted, users[server]))
    return {
        **additions.without_token(pod),
        "containers": [*users, make(wanted, port, _claims(pod))],
        "volumes": [*(pod.get("volumes") or []), *_volumes(wanted)],
    }


def make(
    wanted: Wanted, server_port: int, claims: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Make the agent's container; `claims` are mounts of volumes that hold models."""
    return {
        **additions.container(names.AGENT_CONTAINER, wanted.config.agent),
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
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in _MOUNTS.items()),
            additions.mount(names.MODEL_CONFIG_VOLUME, names.MODEL_CONFIG_DIR),
            additions.token_mount(),
            *bundles.mounts(wanted),
            *claims,
        ],
        "lifecycle": _LIFECYCLE,
    }


def _drained(server: Mapping[str, Any]) -> dict[str, Any]:
    """Have the server answer until the pod's end is told, unless the user has a hook there."""
    return {**server, "lifecycle": {**_LIFECYCLE, **(server.get("lifecycle") or {})}}


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
    return [
        additions.mount(name, f"{names.CLAIM_DIR}/{claim}")
        for claim, name in sorted(volumes.items())
    ]


def _env(wanted: Wanted, server_port: int) -> list[dict[str, Any]]:
    """Tell the agent what differs from service to service; directories are names.py's."""
    pod_name = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    values = {
        "SHOAL_NAMESPACE": wanted.namespace,
        "SHOAL_INFERENCE_SERVICE": wanted.name,
        "SHOAL_SERVICE_ACCOUNT": wanted.service.spec.predictor.service_account_name,
        "SHOAL_SERVER_URL": f"http://127.0.0.1:{server_port}",
        "SHOAL_STORAGE_SECRET": credentials.secret(wanted),
        **bundles.env(wanted),
        "SHOAL_STORE_BYTES": _store_bytes(wanted),
        **_concurrency(wanted.config.agent),
        **additions.fetch_limits(wanted.config.agent),
    }
    return [{"name": "SHOAL_POD_NAME", "valueFrom": pod_name}, *additions.env(values)]


def _concurrency(config: AgentConfig) -> dict[str, str]:
    asked = config.fetch_concurrency
    is_usual = asked == AgentConfig().fetch_concurrency
    return {} if is_usual else {"SHOAL_FETCH_CONCURRENCY": str(asked)}


def _probe(path: str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": names.AGENT_ADMIN_PORT},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _with_models(wanted: Wanted, server: Mapping[str, Any]) -> dict[str, Any]:
    added = [additions.server_mount(wanted, name, path) for name, path in _MOUNTS.items()]
    return {**server, "volumeMounts": [*(server.get("volumeMounts") or []), *added]}


def _volumes(wanted: Wanted) -> list[dict[str, Any]]:
    shards = [_mounted(wanted, shard) for shard in range(names.MOUNTED_SHARDS)]
    config = {"defaultMode": additions.READ_BY_ALL, "sources": shards}
    return [
        {"name": names.MODEL_DIR_VOLUME, "emptyDir": {}},
        {"name": names.MODEL_STORE_VOLUME, "emptyDir": _store(wanted)},
        {"name": names.MODEL_CONFIG_VOLUME, "projected": config},
        additions.token_volume(),
        *bundles.volumes(wanted),
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


def _refuse_conflicts(pod: Mapping[str, Any], server: int, volumes: Collection[str]) -> None:
    for field in ("initContainers", "containers"):
        additions.refuse_names(pod, field, {names.AGENT_CONTAINER}, _USER)
    additions.refuse_names(pod, "volumes", volumes, _USER)
    for index, user in enumerate(pod["containers"]):
        _refuse_port(user, f"containers[{index}]")
    where = f"containers[{server}]"
    additions.refuse_mounts(pod["containers"][server], where, _MOUNTS.values(), _USER)


def _refuse_port(user: Mapping[str, Any], where: str) -> None:
    """All containers of a pod share one address, so a port has one owner."""
    for number, port in enumerate(user.get("ports") or []):
        if port.get("containerPort") == names.AGENT_ADMIN_PORT:
            taken = port["containerPort"]
            raise additions.refused(f"{where}.ports[{number}].containerPort", taken, _USER)
