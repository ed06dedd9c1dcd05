"""What all that the operator adds to a pod has in common. Callers: sidecars, initcontainers."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from shoal import names
from shoal.api import quantities
from shoal.api.settings import AgentConfig, SidecarConfig
from shoal.desired import metadata
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason

READ_BY_ALL: Final = 0o644
_TOKEN_DIR: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOKEN_SECONDS: Final = 3607  # the kubelet's own value for the tokens it mounts
_TOKEN_FIELD: Final = "automountServiceAccountToken"  # noqa: S105 - a field


def container(name: str, config: SidecarConfig) -> dict[str, Any]:
    """Make what does not depend on what the container is for."""
    return {
        "name": name,
        "image": config.image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {
            "requests": _canonical(cpu=config.cpu_request, memory=config.memory_request),
            "limits": _canonical(cpu=config.cpu_limit, memory=config.memory_limit),
        },
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _canonical(**given: str) -> dict[str, str]:
    """Spell as the API server does; 0 is none, as for the server's container."""
    spelt = {name: quantities.canonical(value) for name, value in given.items()}
    return {name: value for name, value in spelt.items() if value != "0"}


def fetch_limits(config: AgentConfig) -> dict[str, str]:
    """Name the limits of a download that are not its own defaults."""
    usual = AgentConfig()
    values = {
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


def env(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Write the variables that have a value."""
    return [{"name": name, "value": value} for name, value in values.items() if value]


def mount(name: str, path: str) -> dict[str, Any]:
    """Mount a volume read-only."""
    return {"name": name, "mountPath": path, "readOnly": True}


def server_mount(wanted: Wanted, name: str, path: str) -> dict[str, Any]:
    """Mount models into a server, read-only unless an annotation says otherwise."""
    annotations = metadata.component_annotations(wanted)
    made = mount(name, path)
    if annotations.get(names.STORAGE_READ_ONLY_ANNOTATION) == "false":
        del made["readOnly"]
    return made


def token_mount() -> dict[str, Any]:
    """Mount the ServiceAccount's token."""
    return mount(names.AGENT_TOKEN_VOLUME, _TOKEN_DIR)


def token_volume() -> dict[str, Any]:
    """Make the volume of the ServiceAccount's token, for what we add alone (docs/adr/0006)."""
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    token = {"path": "token", "expirationSeconds": _TOKEN_SECONDS}
    authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    sources = [
        {"serviceAccountToken": token},
        {"configMap": authority},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
    ]
    projected = {"defaultMode": READ_BY_ALL, "sources": sources}
    return {"name": names.AGENT_TOKEN_VOLUME, "projected": projected}


def without_token(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the token from the user's containers, unless the user decided about it."""
    return {_TOKEN_FIELD: False, **pod}


def refuse_names(pod: Mapping[str, Any], field: str, taken: Collection[str], user: str) -> None:
    """Look for what has the name of something that is added.

    Raises:
        StalledError: there is one; `user` says what the name is for.
    """
    for index, row in enumerate(pod.get(field) or []):
        if row.get("name") in taken:
            raise refused(f"{field}[{index}].name", row["name"], user)


def refuse_mounts(box: Mapping[str, Any], where: str, taken: Collection[str], user: str) -> None:
    """Look for a mount where one is added; `where` is the container's field.

    Raises:
        StalledError: there is one.
    """
    for number, row in enumerate(box.get("volumeMounts") or []):
        if str(row.get("mountPath")).rstrip("/") in taken:
            raise refused(f"{where}.volumeMounts[{number}].mountPath", row["mountPath"], user)


def refused(field: str, value: object, user: str) -> StalledError:
    """Say who has the place that a field of the predictor takes."""
    return StalledError(
        Reason.INVALID_SPEC,
        f"spec.predictor.{field}: {value!r} is used by {user}; choose another",
    )
