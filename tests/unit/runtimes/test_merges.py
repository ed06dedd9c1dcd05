"""Kubernetes' strategic merge, as far as containers and pods have it."""

from typing import Any

import pytest

from shoal.runtimes import merges

Tree = dict[str, Any]
SECRET = {"secretKeyRef": {"name": "s", "key": "k"}}


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        pytest.param({"image": "a"}, {"image": "b"}, {"image": "b"}, id="a-scalar"),
        pytest.param({"image": "a"}, {}, {"image": "a"}, id="nothing-said"),
        pytest.param({"image": "a"}, {"image": None}, {"image": "a"}, id="null-says-nothing"),
        pytest.param(
            {"name": "a", "image": "b"}, {"name": ""}, {"name": "a", "image": "b"}, id="empty-name"
        ),
        pytest.param({"args": ["a"]}, {"args": ["b"]}, {"args": ["a", "b"]}, id="args-follow"),
        pytest.param({"args": ["a"]}, {}, {"args": ["a"]}, id="args-of-the-runtime"),
        pytest.param({}, {"args": ["b"]}, {"args": ["b"]}, id="args-of-the-user"),
        pytest.param({"command": ["a"]}, {"command": ["b"]}, {"command": ["b"]}, id="command"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "C", "value": "3"}, {"name": "A", "value": "4"}]},
            {
                "env": [
                    {"name": "A", "value": "4"},
                    {"name": "B", "value": "2"},
                    {"name": "C", "value": "3"},
                ]
            },
            id="env-by-name-in-order",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": SECRET}]},
            {"env": [{"name": "A", "valueFrom": SECRET}]},
            id="a-source-replaces-a-value",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": SECRET}]},
            {"env": [{"name": "A", "value": ""}]},
            {"env": [{"name": "A", "value": ""}]},
            id="an-empty-value-replaces-a-source",
        ),
        pytest.param(
            {"envFrom": [{"prefix": "A"}]},
            {"envFrom": [{"prefix": "B"}]},
            {"envFrom": [{"prefix": "B"}]},
            id="env-from-is-replaced",
        ),
        pytest.param(
            {"ports": [{"containerPort": 1, "name": "a"}]},
            {"ports": [{"containerPort": 1, "protocol": "TCP"}, {"containerPort": 2}]},
            {
                "ports": [
                    {"containerPort": 1, "name": "a", "protocol": "TCP"},
                    {"containerPort": 2},
                ]
            },
            id="ports-by-number",
        ),
        pytest.param(
            {"volumeMounts": [{"mountPath": "/a", "name": "x", "readOnly": True}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "y"}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "y", "readOnly": True}]},
            id="mounts-by-path",
        ),
        pytest.param(
            {"securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}},
            {"securityContext": {"runAsUser": 7, "capabilities": {"drop": []}}},
            {
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 7,
                    "capabilities": {"drop": []},
                }
            },
            id="structures-by-field-their-lists-whole",
        ),
        pytest.param(
            {"readinessProbe": {"httpGet": {"path": "/a", "port": 1}, "periodSeconds": 3}},
            {"readinessProbe": {"tcpSocket": {"port": 2}}},
            {"readinessProbe": {"tcpSocket": {"port": 2}, "periodSeconds": 3}},
            id="a-probe-has-one-handler",
        ),
        pytest.param(
            {"readinessProbe": {"httpGet": {"path": "/a", "port": 1}}},
            {"readinessProbe": {"httpGet": {"path": "/b"}, "periodSeconds": 3}},
            {"readinessProbe": {"httpGet": {"path": "/b", "port": 1}, "periodSeconds": 3}},
            id="the-same-handler-merges",
        ),
        pytest.param(
            {"readinessProbe": {"tcpSocket": {"port": 2}}},
            {"readinessProbe": {"periodSeconds": 3}},
            {"readinessProbe": {"tcpSocket": {"port": 2}, "periodSeconds": 3}},
            id="times-alone-keep-the-handler",
        ),
        pytest.param(
            {"lifecycle": {"preStop": {"exec": {"command": ["a"]}}, "postStart": {"sleep": {}}}},
            {"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}},
            {"lifecycle": {"preStop": {"sleep": {"seconds": 1}}, "postStart": {"sleep": {}}}},
            id="a-hook-has-one-handler",
        ),
    ],
)
def test_containers(base: Tree, over: Tree, merged: Tree) -> None:
    before = repr((base, over))
    assert merges.containers(base, over) == merged
    assert repr((base, over)) == before


def _amounts(cpu: str = "", memory: str = "", **more: str) -> Tree:
    gpu = {"nvidia.com/gpu": more["gpu"]} if "gpu" in more else {}
    return {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value} | gpu


BOTH = {"requests": _amounts("1", "2Gi"), "limits": _amounts("1", "2Gi")}


@pytest.mark.parametrize(
    ("base", "over", "requests", "limits"),
    [
        pytest.param(BOTH, {}, _amounts("1", "2Gi"), _amounts("1", "2Gi"), id="the-runtimes"),
        pytest.param(
            BOTH,
            {"limits": _amounts(memory="512Mi")},
            _amounts("1", "512Mi"),
            _amounts("1", "512Mi"),
            id="a-lower-limit-lowers-the-request",
        ),
        pytest.param(
            BOTH,
            {"requests": _amounts("2")},
            _amounts("2", "2Gi"),
            _amounts("2", "2Gi"),
            id="a-higher-request-raises-the-limit",
        ),
        pytest.param(
            BOTH,
            {"limits": _amounts("4")},
            _amounts("1", "2Gi"),
            _amounts("4", "2Gi"),
            id="a-higher-limit-leaves-the-request",
        ),
        pytest.param(
            {"requests": _amounts("1", "2Gi"), "limits": _amounts("500m", "1Gi")},
            {},
            _amounts("500m", "1Gi"),
            _amounts("500m", "1Gi"),
            id="the-runtimes-own-limit-bounds-its-request",
        ),
        pytest.param(
            {"requests": _amounts("1", "2Gi"), "limits": _amounts("500m", "1Gi")},
            {"limits": _amounts("2")},
            _amounts("500m", "1Gi"),
            _amounts("2", "1Gi"),
            id="and-so-it-is-below-the-users-limit",
        ),
        pytest.param(
            {"limits": _amounts("1", gpu="1"), "requests": _amounts("1", gpu="1")},
            {"limits": _amounts(gpu="2")},
            _amounts("1"),
            _amounts("1", gpu="2"),
            id="a-gpu-has-one-amount",
        ),
    ],
)
def test_resources(base: Tree, over: Tree, requests: Tree, limits: Tree) -> None:
    merged = merges.containers({"resources": base}, {"resources": over})["resources"]
    assert merged == {"requests": requests, "limits": limits}


def test_what_is_no_quantity_is_told() -> None:
    with pytest.raises(ValueError, match="'x' is not a quantity"):
        merges.resources(BOTH, {"limits": {"cpu": "x"}})


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        pytest.param(
            {"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "emptyDir": {}}]},
            {"volumes": [{"name": "a", "emptyDir": {}}]},
            {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]},
            id="a-volume-has-one-source",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "b"}]},
            {"tolerations": [{"key": "b"}]},
            id="tolerations-are-replaced",
        ),
        pytest.param(
            {"nodeSelector": {"a": "1", "b": "2"}},
            {"nodeSelector": {"b": "3"}},
            {"nodeSelector": {"a": "1", "b": "3"}},
            id="node-selectors-merge",
        ),
        pytest.param(
            {"imagePullSecrets": [{"name": "a"}]},
            {"imagePullSecrets": [{"name": "b"}, {"name": "a"}]},
            {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]},
            id="pull-secrets-by-name",
        ),
        pytest.param({"hostIPC": True}, {}, {"hostIPC": True}, id="host-ipc-is-kept"),
        pytest.param(
            {"affinity": {"nodeAffinity": {"a": [1], "b": [2]}}},
            {"affinity": {"nodeAffinity": {"b": [3]}, "podAffinity": {}}},
            {"affinity": {"nodeAffinity": {"a": [1], "b": [3]}, "podAffinity": {}}},
            id="affinities-by-field",
        ),
    ],
)
def test_pods(base: Tree, over: Tree, merged: Tree) -> None:
    assert merges.pods(base, over) == merged
