"""What makes a write needed, and what does not."""

import json
from typing import Any

import pytest

from shoal.cluster import differences
from support.fakes import fields_v1

Body = dict[str, Any]
MANAGER = "shoal"


def live(
    spec: Body, *, owned: Body | None = None, atomic: Body | None = None, manager: str = MANAGER
) -> Body:
    """Make a stored object; `atomic` is what its manager owns, in FieldsV1."""
    entry = {
        "manager": manager,
        "operation": "Apply",
        "fieldsV1": atomic or fields_v1({"spec": spec if owned is None else owned}),
    }
    return {"metadata": {"managedFields": [entry]}, "spec": spec}


CONTAINER = {"name": "a", "image": "x"}

SAME = {
    "equal": ({"a": 1}, live({"a": 1})),
    "server-added-a-default": ({"a": 1}, live({"a": 1, "b": 2}, owned={"a": 1})),
    "empty-is-left-out": ({"a": 1, "b": {}, "c": "", "d": False, "e": []}, live({"a": 1})),
    "none-is-left-out": ({"a": None, "b": 1}, live({"b": 1})),
    "quantity-spelt-otherwise": (
        {"resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}},
        live({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}),
    ),
    "size-limit-spelt-otherwise": ({"sizeLimit": "1024Mi"}, live({"sizeLimit": "1Gi"})),
    "others-container-beside-ours": (
        {"containers": [CONTAINER]},
        live(
            {"containers": [{"name": "injected"}, {**CONTAINER, "tty": True}]},
            owned={"containers": [CONTAINER]},
        ),
    ),
    "list-without-keys": ({"args": ["a", "b"]}, live({"args": ["a", "b"]})),
}

DIFFERENT = {
    "value": ({"a": 1}, live({"a": 2})),
    "missing": ({"a": 1}, live({})),
    "false-became-true": ({"a": False}, live({"a": True})),
    "emptied": ({"a": {}}, live({"a": {"b": 1}})),
    "quantity-is-another": (
        {"resources": {"limits": {"cpu": "2"}}},
        live({"resources": {"limits": {"cpu": "1"}}}),
    ),
    "number-text-outside-of-quantities": ({"value": "1000m"}, live({"value": "1"})),
    "field-abandoned": ({"a": 1}, live({"a": 1, "b": 2})),
    "list-item-abandoned": (
        {"containers": [CONTAINER]},
        live({"containers": [CONTAINER, {"name": "old"}]}),
    ),
    "list-item-changed": (
        {"containers": [CONTAINER]},
        live({"containers": [{"name": "a", "image": "y"}]}),
    ),
    "list-order-without-keys": ({"args": ["a", "b"]}, live({"args": ["b", "a"]})),
    "list-shorter": ({"args": ["a"]}, live({"args": ["a", "b"]})),
    "item-taken-off-an-atomic-list": (
        {"metrics": [{"type": "Resource", "name": "cpu"}]},
        live(
            {"metrics": [{"type": "Resource", "name": "cpu"}, {"type": "Pods", "name": "qps"}]},
            atomic={"f:spec": {"f:metrics": {}}},
        ),
    ),
    "item-taken-off-an-atomic-list-within-an-item": (
        {"containers": [{"name": "a", "rules": [{"key": "x"}]}]},
        live(
            {"containers": [{"name": "a", "rules": [{"key": "x"}, {"key": "y"}]}]},
            atomic={"f:spec": {"f:containers": {'k:{"name":"a"}': {"f:name": {}, "f:rules": {}}}}},
        ),
    ),
    "somebody-else-in-what-grants-rights": (
        {"subjects": [{"kind": "ServiceAccount", "name": "ours"}]},
        live(
            {"subjects": [{"kind": "ServiceAccount", "name": name} for name in ("ours", "x")]},
            atomic={"f:spec": {}},
        ),
    ),
    "never-applied-by-us": ({"a": 1}, live({"a": 1}, manager="kubectl")),
    "type": ({"a": {"b": 1}}, live({"a": "b"})),
}


@pytest.mark.parametrize(("spec", "stored"), SAME.values(), ids=SAME.keys())
def test_needs_no_write(spec: Body, stored: Body) -> None:
    assert not differences.differs({"spec": spec}, stored, MANAGER)


@pytest.mark.parametrize(("spec", "stored"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_needs_a_write(spec: Body, stored: Body) -> None:
    assert differences.differs({"spec": spec}, stored, MANAGER)


def test_status_ownership_is_no_ownership() -> None:
    stored = live({"a": 1})
    stored["metadata"]["managedFields"][0]["subresource"] = "status"
    assert differences.differs({"spec": {"a": 1}}, stored, MANAGER)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([{"port": 80}], False, id="protocol-filled-in"),
        pytest.param([{"port": 81}], True, id="another-port"),
    ],
)
def test_ports_are_keyed_with_the_default_protocol(ports: list[Body], expected: bool) -> None:
    key = json.dumps({"port": 80, "protocol": "TCP"})
    entry = {
        "manager": MANAGER,
        "operation": "Apply",
        "fieldsV1": {"f:spec": {"f:ports": {f"k:{key}": {".": {}, "f:port": {}}}}},
    }
    stored = {
        "metadata": {"managedFields": [entry]},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}]},
    }
    assert differences.differs({"spec": {"ports": ports}}, stored, MANAGER) is expected


def test_set_items_are_compared_by_value() -> None:
    entry = {
        "manager": MANAGER,
        "operation": "Apply",
        "fieldsV1": {"f:spec": {"f:finalizers": {'v:"a"': {}}}},
    }
    stored = {"metadata": {"managedFields": [entry]}, "spec": {"finalizers": ["a"]}}
    assert not differences.differs({"spec": {"finalizers": ["a"]}}, stored, MANAGER)
    assert differences.differs({"spec": {"finalizers": None}}, stored, MANAGER)
