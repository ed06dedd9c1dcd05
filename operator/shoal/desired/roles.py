"""What agent and storage initializer may read: ServiceAccount, named Secrets, the agent's list.

The operator can grant only what it holds itself, so nothing here is wider than a `get` on
Secrets by name and a watch on its ConfigMaps by name.
"""

from typing import Any

from shoal import names
from shoal.desired import credentials, metadata
from shoal.desired.wanted import Wanted

_GROUP = "rbac.authorization.k8s.io"


def make(wanted: Wanted, shards: int = 1) -> dict[str, Any]:
    """Make the Role of the pods of one service; a host's list of models is in that many shards."""
    account = wanted.service.spec.predictor.service_account_name
    rules = [
        *([_list_of_models(wanted, shards)] if wanted.is_host else []),
        _rule("serviceaccounts", [account], ["get"]),
    ]
    if bundles := credentials.bundles(wanted):
        rules.append(_rule("configmaps", bundles, ["get"]))
    secrets = credentials.secrets(wanted)
    if secrets and wanted.may_grant_secrets:
        rules.append(_rule("secrets", secrets, ["get"]))
    return {**_object(wanted, "Role"), "rules": rules}


def _list_of_models(wanted: Wanted, shards: int) -> dict[str, Any]:
    """Name one shard more, which a growing list then finds allowed, and those that are to go.

    Agents read these until they know.
    """
    count = max(shards, wanted.live_shards) + 1
    config_maps = [names.model_config(wanted.name, shard) for shard in range(count)]
    return _rule("configmaps", config_maps, ["get", "list", "watch"])


def make_binding(wanted: Wanted) -> dict[str, Any]:
    """Bind the Role to the pods' ServiceAccount."""
    return {
        **_object(wanted, "RoleBinding"),
        "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": names.agent_role(wanted.name)},
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": wanted.service.spec.predictor.service_account_name,
                "namespace": wanted.namespace,
            }
        ],
    }


def _object(wanted: Wanted, kind: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": kind,
        "metadata": metadata.make(
            wanted,
            names.agent_role(wanted.name),
            labels=metadata.object_labels(wanted),
            annotations={},
        ),
    }


def _rule(resource: str, resource_names: list[str], verbs: list[str]) -> dict[str, Any]:
    return {
        "apiGroups": [""],
        "resources": [resource],
        "resourceNames": resource_names,
        "verbs": verbs,
    }
