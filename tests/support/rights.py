"""Compares the rights that the chart grants with those that the operator used.

What was used is read from the API server's audit log. Server-side apply is audited as a patch, but
needs the right to create as well where it made the object; its answer is then 201.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

Body = dict[str, Any]
MADE, REFUSED = 201, 403


class Right(NamedTuple):
    """One verb on one resource; `resource` includes the subresource."""

    group: str
    resource: str
    verb: str


def granted(roles: Iterable[Body], *names: str) -> set[Right]:
    """Collect what the roles of these names grant."""
    return {
        Right(group, resource, verb)
        for role in roles
        if role["kind"] in {"ClusterRole", "Role"} and role["metadata"]["name"] in names
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _requests(lines: Iterable[str], account: str) -> Iterable[tuple[Right, int]]:
    """Read the finished requests of a ServiceAccount (namespace:name) for resources."""
    for line in lines:
        row = json.loads(line)
        reference = row.get("objectRef") or {}
        if row["user"]["username"] != f"system:serviceaccount:{account}":
            continue
        if "resource" not in reference:
            continue
        parts = (reference["resource"], reference.get("subresource", ""))
        resource = "/".join(part for part in parts if part)
        right = Right(reference.get("apiGroup", ""), resource, row["verb"])
        yield right, (row.get("responseStatus") or {}).get("code", 0)


def used(lines: Iterable[str], account: str) -> set[Right]:
    """Collect what a ServiceAccount (namespace:name) did, by the lines of an audit log."""
    found = set()
    for right, code in _requests(lines, account):
        if code != REFUSED:
            found.add(right)
        if code == MADE and right.verb == "patch":
            found.add(right._replace(verb="create"))
    return found


def refused(lines: Iterable[str], account: str) -> set[Right]:
    """Collect what a ServiceAccount was refused."""
    return {right for right, code in _requests(lines, account) if code == REFUSED}
