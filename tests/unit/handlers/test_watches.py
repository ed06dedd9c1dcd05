"""Kopf's settings, by which it writes nothing and asks for nothing that is not ours."""

import asyncio
from dataclasses import dataclass

import pytest

from shoal.cluster import kinds
from shoal.cluster.streams import Streams
from shoal.handlers import watches
from shoal.handlers.watches import WatchesEndedError


def test_kopf_writes_nothing_of_its_own() -> None:
    made = watches.settings(70)
    assert not made.posting.enabled
    assert made.peering.standalone


def test_every_core_kind_but_accounts_is_selected_by_the_server() -> None:
    selectors = set(watches.settings(70).watching.label_selectors.values())
    assert selectors == {"serving.kserve.io/inferenceservice"}
    unselected = {kind.kind for kind in kinds.WATCHED if not kind.selector}
    installed = {"ServingRuntime", "ClusterServingRuntime", "ClusterStorageContainer"}
    assert unselected == {"InferenceService", "TrainedModel", "ServiceAccount", *installed}


@dataclass
class Content:
    total_bytes: int = 0


async def test_a_kind_that_nobody_watches_ends_the_operator() -> None:
    streams = Streams()
    for kind in kinds.WATCHED:
        if kind is not kinds.INFERENCE_SERVICE:
            streams.opened(kind.path(), Content(), 0.0)
    with pytest.raises(
        WatchesEndedError,
        match=r"nothing watches /apis/serving\.kserve\.io/v1beta1/inferenceservices",
    ):
        await watches.opened(streams, kinds.WATCHED, seconds=0.01)


async def test_a_list_that_takes_long_is_waited_for() -> None:
    streams = Streams()
    for kind in kinds.WATCHED:
        streams.listed(kind.path())
    opening = asyncio.create_task(watches.opened(streams, kinds.WATCHED, seconds=0.01))
    await asyncio.wait({opening}, timeout=0.1)
    assert not opening.done()
    for kind in kinds.WATCHED:
        streams.opened(kind.path(), Content(), 0.0)
    await opening


async def test_with_every_kind_watched_it_goes_on() -> None:
    streams = Streams()
    for kind in kinds.WATCHED:
        streams.opened(kind.path(), Content(), 0.0)
    await watches.opened(streams, kinds.WATCHED, seconds=0.01)


async def test_a_namespace_that_nobody_watches_ends_the_operator() -> None:
    streams = Streams()
    for kind in kinds.WATCHED:
        streams.opened(kind.path("one"), Content(), 0.0)
    with pytest.raises(WatchesEndedError, match="/api/v1/namespaces/two/pods"):
        await watches.opened(streams, kinds.WATCHED, ("one", "two"), 0.01)
