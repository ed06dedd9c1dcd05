"""The installation's CA bundle in the pods that fetch models (contract §4.6).

Upstream copies it into one ConfigMap of each namespace; here each service has its own, which it
owns, so that none is left behind or fought over. The mount is optional: what needs no authority
goes on without the bundle. Callers: children, initcontainers, sidecars.
"""

from typing import Any

from shoal import names
from shoal.desired import additions, metadata
from shoal.desired.wanted import Wanted


def make(wanted: Wanted) -> list[dict[str, Any]]:
    """Make the service's copy of the bundle, where one is configured and there."""
    if not _is_configured(wanted) or not wanted.authority:
        return []
    meta = metadata.make(
        wanted,
        names.ca_bundle(wanted.name),
        labels=metadata.object_labels(wanted),
        annotations={},
    )
    data = {names.CA_BUNDLE_KEY: wanted.authority}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}]


def env(wanted: Wanted, other: str = "") -> dict[str, str]:
    """Tell a container where the bundle is; `other` is a ConfigMap in place of the copy."""
    if not (name := other or _copy(wanted)):
        return {}
    return {
        names.CA_BUNDLE_CONFIG_MAP_VARIABLE: name,
        names.CA_BUNDLE_FOLDER_VARIABLE: _path(wanted),
    }


def mounts(wanted: Wanted, other: str = "") -> list[dict[str, Any]]:
    """Mount the bundle, if there is to be one; `other` is as above."""
    is_there = other or _copy(wanted)
    return [additions.mount(names.CA_BUNDLE_VOLUME, _path(wanted))] if is_there else []


def volumes(wanted: Wanted, other: str = "") -> list[dict[str, Any]]:
    """Make the volume of the bundle, if there is to be one; `other` is as above."""
    if not (name := other or _copy(wanted)):
        return []
    source = {
        "name": name,
        "defaultMode": additions.READ_BY_ALL,
        "optional": True,
    }
    return [{"name": names.CA_BUNDLE_VOLUME, "configMap": source}]


def _copy(wanted: Wanted) -> str:
    return names.ca_bundle(wanted.name) if _is_configured(wanted) else ""


def _is_configured(wanted: Wanted) -> bool:
    return bool(wanted.config.storage_initializer.ca_bundle_config_map_name)


def _path(wanted: Wanted) -> str:
    return wanted.config.storage_initializer.ca_bundle_volume_mount_path
