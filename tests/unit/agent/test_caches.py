import asyncio
import errno
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shoal.agent.caches import Cache, Slot
from shoal.storage import transfers
from shoal.storage.partials import JOURNAL

ADDRESS = "s3://b/m"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", "the model cache pvc://claim")


async def unexpected(holder: str) -> None:
    pytest.fail(f"{holder} has the lock")


def fill(slot: Slot, fingerprint: str, **files: str) -> Path:
    """Do what a download does; `__` in a name stands for a slash."""
    work = slot.work(fingerprint)
    for name, content in files.items():
        path = work / transfers.TREE / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return slot.publish(work, fingerprint, {}, {"address": ADDRESS})


async def bring(cache: Cache, fingerprint: str, address: str = ADDRESS, **files: str) -> Path:
    async with cache.turn(address, unexpected) as slot:
        return fill(slot, fingerprint, **files)


def content(tree: Path | None) -> dict[str, str]:
    assert tree is not None
    paths = (path for path in tree.rglob("*") if path.is_file())
    return {path.relative_to(tree).as_posix(): path.read_text() for path in paths}


async def test_what_is_brought_is_found_and_can_be_read_by_all(cache: Cache) -> None:
    assert cache.find("one") is None
    tree = await bring(cache, "one", a="1", b__c="22")
    assert cache.find("one") == tree
    assert content(tree) == {"a": "1", "b/c": "22"}
    assert cache.find("two") is None
    modes = [oct(path.stat().st_mode & 0o777) for path in (tree, tree / "b", tree / "b/c")]
    assert modes == ["0o755", "0o755", "0o644"]


async def test_a_source_tells_a_person_what_it_is(cache: Cache) -> None:
    tree = await bring(cache, "one", a="1", b__c="22")
    assert json.loads((cache.root / "sources" / "one").read_text()) == {
        "address": ADDRESS,
        "tree": tree.name,
        "bytes": 3,
        "files": {"a": 1, "b/c": 2},
    }


async def test_changed_content_is_another_tree_and_the_old_one_stays(cache: Cache) -> None:
    old = await bring(cache, "one", a="1")
    new = await bring(cache, "two", a="2")
    assert (content(old), content(new)) == ({"a": "1"}, {"a": "2"})
    assert (cache.find("one"), cache.find("two")) == (old, new)


async def test_two_addresses_with_the_same_content_share_it(cache: Cache) -> None:
    one = await bring(cache, "one", a="1")
    assert await bring(cache, "other", "s3://b/other", a="1") == one
    assert len(list((cache.root / "trees").iterdir())) == 1


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda tree: (tree / "b").unlink(), id="a-file-lacks"),
        pytest.param(lambda tree: (tree / "b").write_text(""), id="one-is-shorter"),
    ],
)
async def test_a_damaged_tree_is_not_used_and_not_touched(cache: Cache, damage: object) -> None:
    tree = await bring(cache, "one", a="1", b="2")
    assert callable(damage)
    damage(tree)
    left = content(tree)
    assert cache.find("one") is None
    whole = await bring(cache, "one", a="1", b="2")
    assert (cache.find("one"), whole.name) == (whole, f"{tree.name}-1")
    assert content(tree) == left


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("", id="nothing"),
        pytest.param("[]", id="a-list"),
        pytest.param('{"tree": "t"}', id="no-files"),
        pytest.param('{"tree": "t", "files": 1}', id="a-number-for-files"),
        pytest.param('{"tree": "t", "files": {}}', id="a-tree-that-is-not-there"),
    ],
)
def test_a_source_that_cannot_be_read_is_none(cache: Cache, source: str) -> None:
    (cache.root / "sources").mkdir(parents=True)
    (cache.root / "sources" / "one").write_text(source)
    assert cache.find("one") is None


async def test_a_source_leads_nowhere_else(cache: Cache, tmp_path: Path) -> None:
    tree = await bring(cache, "one", a="1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a").write_text("2")
    source = cache.root / "sources" / "one"
    source.write_text(source.read_text().replace(tree.name, str(elsewhere)))
    assert cache.find("one") is None


async def test_a_tree_without_its_source_is_found_by_its_content(cache: Cache) -> None:
    tree = await bring(cache, "one", a="1")
    (cache.root / "sources" / "one").unlink()
    assert cache.find("one") is None
    assert await bring(cache, "one", a="1") == tree


async def test_one_at_a_time_fetches_from_an_address(cache: Cache) -> None:
    seen: list[str] = []
    ended = asyncio.Event()

    async def wait(holder: str) -> None:
        seen.append(holder)
        ended.set()
        await asyncio.sleep(0)

    async def other() -> None:
        async with cache.turn(ADDRESS, wait):
            assert cache.find("one") is not None

    async with cache.turn(ADDRESS, unexpected) as slot:
        task = asyncio.create_task(other())
        await ended.wait()
        fill(slot, "one", a="1")
    await task
    assert set(seen) == {os.uname().nodename}


async def test_a_lock_may_not_tell_who_has_it(cache: Cache) -> None:
    seen: list[str] = []

    async def wait(holder: str) -> None:
        seen.append(holder)
        for path in (cache.root / "locks").iterdir():
            path.unlink()
        if not holder:
            raise InterruptedError

    async with cache.turn(ADDRESS, unexpected):
        with pytest.raises(InterruptedError):
            async with cache.turn(ADDRESS, wait):
                pytest.fail("it is not free")
    assert seen == [os.uname().nodename, ""]


async def test_other_addresses_do_not_wait(cache: Cache) -> None:
    async with cache.turn(ADDRESS, unexpected), cache.turn("s3://b/other", unexpected):
        pass


async def test_a_failure_lets_the_next_one_in(cache: Cache) -> None:
    with pytest.raises(ValueError, match="no"):
        async with cache.turn(ADDRESS, unexpected):
            raise ValueError("no")
    async with cache.turn(ADDRESS, unexpected):
        pass


async def test_half_downloads_are_gone_on_with_or_go(cache: Cache) -> None:
    async with cache.turn(ADDRESS, unexpected) as slot:
        half = slot.work("one")
        (half / "half").write_text("x")
    async with cache.turn(ADDRESS, unexpected) as slot:
        assert (slot.work("one") / "half").exists()
        slot.work("two")
        assert not half.exists()
        slot.forget()
        assert list(slot.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("hours", "kept"),
    [
        pytest.param(0.5, True, id="another-node-may-be-at-it"),
        pytest.param(1.5, False, id="nobody-is-any-more"),
    ],
)
async def test_a_half_download_of_another_node(cache: Cache, hours: float, *, kept: bool) -> None:
    async with cache.turn(ADDRESS, unexpected) as slot:
        foreign = slot.folder / "one-0123456789ab"
        foreign.mkdir()
        (foreign / JOURNAL).write_text('["tree/a", 0, 7]\n')
        touched = time.time() - hours * 3600
        os.utime(foreign / JOURNAL, (touched, touched))
        assert cache.coming("one") == 7
        work = slot.work("one")
        assert work != foreign
        slot.forget()
        assert foreign.exists() is kept


async def test_nothing_of_a_half_download_stays_when_it_is_whole(cache: Cache) -> None:
    await bring(cache, "one", a="1")
    (folder,) = (cache.root / "partial").iterdir()
    assert list(folder.iterdir()) == []
    assert cache.coming("one") == 0


@contextmanager
def unmasked(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


async def test_a_group_may_share_it(cache: Cache) -> None:
    with unmasked(0o077):
        await bring(cache, "one", a="1")
    folders = [cache.root / name for name in ("trees", "sources", "locks", "partial")]
    modes = {oct(path.stat().st_mode & 0o777) for path in folders}
    (lock,) = (cache.root / "locks").iterdir()
    assert (modes, oct(lock.stat().st_mode & 0o777)) == ({"0o775"}, "0o664")
    assert oct((cache.root / "sources" / "one").stat().st_mode & 0o777) == "0o644"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param(
            errno.ENOSPC, r"s3://b/m: the model cache pvc://claim: the disk is full; \d+ bytes "
            "are free", id="full",
        ),
        pytest.param(
            errno.EACCES, r"s3://b/m: the model cache pvc://claim: cannot be written: Permission "
            r"denied; let user \d+ write there, such as by .*fsGroup", id="not-ours",
        ),
        pytest.param(
            errno.EROFS, "s3://b/m: the model cache pvc://claim: cannot be written: Read-only "
            "file system", id="read-only",
        ),
    ],
)  # fmt: skip
def test_failures_name_the_claim(cache: Cache, code: int, message: str) -> None:
    cache.root.mkdir()
    failure = cache.failure(ADDRESS, OSError(code, os.strerror(code)))
    assert re.fullmatch(message, str(failure))
    assert failure.message == str(failure)
