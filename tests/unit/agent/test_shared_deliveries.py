"""A model brought by way of a cache that pods share."""

import asyncio
import os
from pathlib import Path

import pytest

from shoal.agent.caches import Cache
from shoal.agent.destinations import NOTE
from shoal.reasons import Reason
from shoal.storage.failures import FetchError
from shoal.storage.limits import Limits
from unit.agent.test_deliveries import BROKEN, GONE, LOCATION, Store

NAME = "the model cache pvc://claim"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", NAME)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


async def unexpected(_: str) -> None:
    pytest.fail("the lock is free")


async def test_it_is_fetched_into_the_cache_and_linked(cache: Cache, models: Path) -> None:
    store = Store([])
    await store.bring(models, cache=cache)
    assert store.terms.is_summed, "a tree is named after its content"
    tree = cache.find("one")
    assert tree is not None
    assert (models / "a").readlink() == tree / "a"
    assert sorted(os.listdir(models)) == [NOTE, "a"]  # noqa: PTH208 - of an async test
    assert store.told[-1] == f"s3://b/m: is in {models}"


async def test_what_is_there_is_linked_and_not_fetched(
    cache: Cache, models: Path, tmp_path: Path
) -> None:
    await Store([]).bring(models, cache=cache)
    again = Store([(0, GONE)])
    await again.bring(tmp_path / "other", cache=cache)
    assert again.told == [
        f"s3://b/m: is in {NAME} already",
        f"s3://b/m: is in {tmp_path / 'other'}",
    ]
    assert (again.asked, (tmp_path / "other" / "a").read_text()) == (1, "x")


async def test_what_was_promised_another_digest_is_fetched_anew(
    cache: Cache, models: Path
) -> None:
    await Store([]).bring(models, cache=cache)
    checked = Store([], fingerprint="one-with-a-digest")  # as `jobs` names it
    await checked.bring(models, cache=cache, digest="sha256:12")
    assert checked.terms.digest == "sha256:12"
    assert any("came in" in line for line in checked.told)
    assert cache.find("one") == cache.find("one-with-a-digest")
    source = (cache.root / "sources" / "one-with-a-digest").read_text()
    assert '"digest": "sha256:12"' in source


async def test_what_has_no_version_is_fetched_for_this_pod_alone(
    cache: Cache, models: Path
) -> None:
    store = Store([], fingerprint="")
    await store.bring(models, cache=cache)
    assert store.told[0] == f"s3://b/m: has no version to tell it by, so {NAME} cannot keep it"
    assert not (models / "a").is_symlink()
    assert not cache.root.exists()


async def test_it_waits_for_another_and_says_so(cache: Cache, models: Path) -> None:
    other = Store([], late=25)
    async with cache.turn(LOCATION.uri, unexpected) as slot:
        task = asyncio.create_task(other.bring(models, cache=cache))
        await other.is_late.wait()
        work = slot.work("one")
        await Store([]).download(work, 1, lambda _: None)
        slot.publish(work, "one", {}, {})
    await task
    waiting = f"s3://b/m: {os.uname().nodename} is fetching it into {NAME}, 0 B so far; waiting"
    assert other.told[:3] == [waiting] * 3
    assert other.told[3] == f"s3://b/m: is in {NAME} already"
    assert (models / "a").read_text() == "x"
    assert other.asked == 2  # as it is after the wait


async def test_waiting_is_no_lack_of_progress(cache: Cache, models: Path) -> None:
    store = Store([(0, BROKEN)])
    async with cache.turn(LOCATION.uri, unexpected):
        task = asyncio.create_task(store.bring(models, patience=5, cache=cache))
        await store.is_late.wait()
    await task
    assert (models / "a").read_text() == "x"


async def test_nobody_is_waited_for_for_ever(cache: Cache, models: Path) -> None:
    store = Store([], limits=Limits(seconds=100))
    async with cache.turn(LOCATION.uri, unexpected):
        with pytest.raises(FetchError, match=r"has been fetching it into .* more than 100 s"):
            await store.bring(models, cache=cache)
    assert 100 < store.now < 105


async def test_a_full_volume_is_named_with_the_bytes(cache: Cache, models: Path) -> None:
    with pytest.raises(FetchError) as caught:
        await Store([], size=1 << 60).bring(models, cache=cache)
    assert caught.value.reason is Reason.STORE_FULL
    assert caught.value.message.startswith(f"s3://b/m: 1048576.0 TiB are to come, and {NAME} has ")


async def test_a_volume_that_cannot_be_written_is_named(cache: Cache, models: Path) -> None:
    cache.root.write_text("")
    with pytest.raises(FetchError) as caught:
        await Store([]).bring(models, cache=cache)
    assert caught.value.message == f"s3://b/m: {NAME}: cannot be written: Not a directory"


async def test_a_failed_download_is_gone_on_with_by_the_next(
    cache: Cache, models: Path, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match="it broke off"):
        await Store([(10, BROKEN)] * 100).bring(models, patience=1, cache=cache)
    (folder,) = (cache.root / "partial").iterdir()
    (half,) = folder.iterdir()
    (half / "kept").write_text("")
    with pytest.raises(FetchError, match="it is gone"):
        await Store([(10, GONE)]).bring(tmp_path / "other", cache=cache)
    assert not half.exists()
