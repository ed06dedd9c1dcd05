"""What a watch event fills and wakes, and what a relist mends."""

import asyncio

import pytest

from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body
from shoal.cluster.store import Key, Store
from shoal.handlers.inbox import Inbox
from support import builders
from support.fakes import FakeCluster

A = ("default", "a")


class Received:
    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.store = Store()
        self.inbox = Inbox(self.store, self.woken.append)


def model(name: str = "m", parent: str = "a") -> Body:
    return builders.trained_model(name, parent=parent, resourceVersion="1")


@pytest.mark.parametrize("event_type", [None, "ADDED", "MODIFIED"])
def test_what_is_there_is_kept_and_wakes_its_service(event_type: str | None) -> None:
    got = Received()
    got.inbox.receive(kinds.TRAINED_MODEL, event_type, model())
    assert got.woken == [A]
    assert got.store.get(kinds.TRAINED_MODEL, "default", "m")


def test_what_is_deleted_is_dropped_and_wakes_its_service() -> None:
    got = Received()
    got.inbox.receive(kinds.TRAINED_MODEL, None, model())
    got.inbox.receive(kinds.TRAINED_MODEL, "DELETED", model())
    assert got.woken == [A, A]
    assert got.store.get(kinds.TRAINED_MODEL, "default", "m") is None


def test_a_changed_account_wakes_the_services_that_run_as_it() -> None:
    got = Received()
    got.inbox.receive(kinds.INFERENCE_SERVICE, None, builders.inference_service("a"))
    got.woken.clear()
    account = {"metadata": builders.metadata("default"), "secrets": [{"name": "s"}]}
    got.inbox.receive(kinds.SERVICE_ACCOUNT, "MODIFIED", account)
    assert got.woken == [A]


async def test_a_relist_learns_the_servers_version_and_another_one_wakes_every_service() -> None:
    got, cluster = Received(), FakeCluster()
    got.inbox.receive(kinds.INFERENCE_SERVICE, None, cluster.put(builders.inference_service("a")))
    got.woken.clear()
    cluster.kubernetes = (1, 35)
    await got.inbox.relist(cluster, ())
    assert got.store.kubernetes == (1, 35)
    assert got.woken == [A]
    await got.inbox.relist(cluster, ())
    assert got.woken == [A]


async def test_a_relist_takes_every_kind_and_wakes_what_was_wrong() -> None:
    got, cluster = Received(), FakeCluster()
    cluster.put(builders.inference_service("a"))
    cluster.put(model())
    await got.inbox.relist(cluster, ())
    assert set(got.woken) == {A}
    assert got.store.count(kinds.INFERENCE_SERVICE) == 1
    got.woken.clear()
    await got.inbox.relist(cluster, ())
    assert got.woken == []


async def test_a_relist_keeps_to_its_namespaces() -> None:
    got, cluster = Received(), FakeCluster()
    cluster.put(builders.inference_service("a"))
    await got.inbox.relist(cluster, ("elsewhere",))
    assert got.store.count(kinds.INFERENCE_SERVICE) == 0


async def test_a_relist_that_is_refused_changes_nothing() -> None:
    got, cluster = Received(), FakeCluster()
    service = builders.inference_service("a", resourceVersion="1")
    got.inbox.receive(kinds.INFERENCE_SERVICE, None, service)
    cluster.refuse["list", "InferenceService"] = ApiError(503, "Unreachable", "no answer")
    with pytest.raises(ApiError):
        await got.inbox.relist(cluster, ())
    assert got.store.count(kinds.INFERENCE_SERVICE) == 1


class CountingCluster(FakeCluster):
    """Counts its lists of models, and refuses the first `refusals` of them."""

    def __init__(self, refusals: int = 0) -> None:
        super().__init__()
        self.refusals = refusals
        self.lists = 0
        self.listed = asyncio.Event()

    async def list(self, kind: Kind, namespace: str = "") -> list[Body]:
        if kind is kinds.TRAINED_MODEL:
            self.lists += 1
            if self.lists <= self.refusals:
                raise ApiError(503, "Unreachable", "no answer")
            self.listed.set()
        return await super().list(kind, namespace)


async def _relisting(cluster: CountingCluster, seconds: float, gap: asyncio.Event) -> None:
    """Relist until it has worked once."""
    task = asyncio.create_task(Received().inbox.relist_for_ever(cluster, (), seconds, gap))
    try:
        async with asyncio.timeout(5):
            await cluster.listed.wait()
    finally:
        task.cancel()


async def test_a_gap_in_a_watch_is_followed_by_a_relist() -> None:
    cluster, gap = CountingCluster(), asyncio.Event()
    gap.set()
    await _relisting(cluster, 3600, gap)
    assert cluster.lists == 1
    assert not gap.is_set()


async def test_a_relist_that_was_refused_comes_again_long_before_its_turn() -> None:
    cluster, gap = CountingCluster(refusals=1), asyncio.Event()
    gap.set()
    await _relisting(cluster, 3600, gap)
    assert cluster.lists == 2
