"""The runtimes that the chart brings, on a fake of our port."""

import json
from pathlib import Path

import pytest

from shoal.cluster import kinds
from shoal.cluster.ports import ApiError, Body
from shoal.cluster.store import Key, Store
from shoal.reconcile import installs
from support import builders
from support.fakes import FakeCluster

KIND = kinds.CLUSTER_SERVING_RUNTIME


def runtime(name: str = "mine", **spec: object) -> Body:
    body = builders.serving_runtime("sklearn", name=name, **spec)
    return body | {"metadata": {"name": name}}


async def stored(cluster: FakeCluster) -> Store:
    store = Store()
    for body in await cluster.list(KIND):
        store.put(KIND, body)
    return store


async def test_they_are_made_and_then_left_alone() -> None:
    cluster = FakeCluster()
    for _ in range(2):
        await installs.apply(cluster, await stored(cluster), [runtime("a"), runtime("b")], print)
    assert cluster.writes == [("apply", KIND.kind, "a"), ("apply", KIND.kind, "b")]


async def test_one_that_differs_is_changed() -> None:
    cluster = FakeCluster()
    await installs.apply(cluster, await stored(cluster), [runtime()], print)
    store = await stored(cluster)
    await installs.apply(cluster, store, [runtime(protocolVersions=["v1"])], print)
    held = store.get(KIND, "", "mine")
    assert held is not None
    assert held["spec"]["protocolVersions"] == ["v1"]
    assert len(cluster.writes) == 2


async def test_those_whom_one_concerns_are_woken() -> None:
    store = Store()
    store.put(kinds.INFERENCE_SERVICE, builders.framework("sklearn", name="a"))
    woken: list[Key] = []
    await installs.apply(FakeCluster(), store, [runtime()], woken.append)
    assert woken == [("default", "a")]


async def test_one_that_is_refused_leaves_the_others() -> None:
    cluster = FakeCluster()
    cluster.refuse["apply", KIND.kind] = ApiError(422, "Invalid", "spec.containers: wrong")
    told = await installs.apply(cluster, Store(), [runtime("a"), runtime("b")], print)
    assert told == [f"{KIND.kind} {name}: 422 Invalid: spec.containers: wrong" for name in "ab"]


def test_a_folder_is_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_text(json.dumps(runtime(name)))
    (tmp_path / "..data").mkdir()
    assert installs.read(str(tmp_path)) == [runtime("a"), runtime("b")]
    assert installs.read("") == []
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        installs.read(str(tmp_path))
