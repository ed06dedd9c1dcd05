import json
from typing import Any

from support import rights
from support.rights import Right


def row(verb: str, code: int, user: str = "shoal-system:shoal", **reference: str) -> str:
    body: dict[str, Any] = {
        "user": {"username": f"system:serviceaccount:{user}"},
        "verb": verb,
        "objectRef": reference,
        "responseStatus": {"code": code},
    }
    return json.dumps(body)


LOG = [
    row("list", 200, resource="pods"),
    row("patch", 201, resource="deployments", apiGroup="apps"),
    row("patch", 200, resource="trainedmodels", subresource="status", apiGroup="s"),
    row("delete", 403, resource="services"),
    row("get", 200, user="default:default", resource="secrets"),
    row("get", 200),
]


def test_what_was_done_is_used_and_an_apply_that_made_also_created() -> None:
    assert rights.used(LOG, "shoal-system:shoal") == {
        Right("", "pods", "list"),
        Right("apps", "deployments", "patch"),
        Right("apps", "deployments", "create"),
        Right("s", "trainedmodels/status", "patch"),
    }


def test_what_was_forbidden_is_told_apart() -> None:
    assert rights.refused(LOG, "shoal-system:shoal") == {Right("", "services", "delete")}


def test_only_the_named_roles_count() -> None:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
    roles = [
        {"kind": kind, "metadata": {"name": name}, "rules": [rule]}
        for kind, name in (("ClusterRole", "a"), ("Role", "b"), ("RoleBinding", "a"))
    ]
    assert rights.granted(roles, "a") == {Right("", "pods", "list"), Right("", "pods", "watch")}
    assert rights.granted(roles, "c") == set()
