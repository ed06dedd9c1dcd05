import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shoal.agent.fetches import Bounds, Fetcher
from shoal.agent.spaces import Space
from shoal.agent.stores import Store
from shoal.modelconfig import Model
from shoal.reasons import Reason
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError, Kind
from shoal.storage.uris import Location

MIB = 1024 * 1024


class FakeSource:
    """Brings `content`; it takes `whole` bytes while it comes, and announces `size`."""

    def __init__(self, size: int, whole: int, fingerprint: str, content: bytes = b"x") -> None:
        self.size = size
        self.whole = whole
        self.fingerprint = fingerprint
        self.content = content
        self.rooms: list[int] = []
        self.goes_on: list[bool] = []
        self.failures: list[FetchError] = []
        self.rest = 0  # files that are there when it fails
        self.gate: asyncio.Event | None = None

    async def download(self, work: Path, room: int, count: Any) -> Mapping[str, str]:
        self.rooms.append(room)
        self.goes_on.append((work / "begun").exists())
        (work / "begun").touch()
        await asyncio.sleep(0)
        if self.gate:
            await self.gate.wait()
        if self.failures:
            for row in range(self.rest):
                (work / f"rest-{row}").touch()
            raise self.failures.pop(0)
        if self.whole > room:
            raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, "more than there is room for")
        count(self.size)
        (work / "tree").mkdir()
        if self.content:
            (work / "tree" / "file").write_bytes(self.content)
        return {}


class FakeAccounts:
    """Knows Secrets by name."""

    def __init__(self, **secrets: Mapping[str, str]) -> None:
        self._secrets = secrets

    async def read(self, secret: str = "") -> Credentials:
        if secret not in self._secrets:
            return Credentials(missing=("credentials cannot be read: timed out",))
        return Credentials((Holder(f"Secret ns/{secret}", self._secrets[secret], {}),))


class Bench:
    """A fetcher over a disk of its own, with a limit, and sources by address."""

    def __init__(self, folder: Path, limit: int = 20 * MIB) -> None:
        self.store = Store(str(folder / "models"), str(folder / "store"))
        self.store.open()
        self.sources: dict[str, FakeSource] = {}
        self.started: list[str] = []
        self.held: list[str] = []
        bounds = Bounds(4, Space(self.store, limit), opened=self._opened)
        self.fetcher = Fetcher(self.store, FakeAccounts(whole={}), None, bounds)

    @asynccontextmanager
    async def _opened(self, location: Location, *_: Any, **__: Any) -> AsyncIterator[FakeSource]:
        await asyncio.sleep(0)
        yield self.sources[location.uri]

    async def fetch(self, uri: str, secret: str = "", *, again: bool = False) -> str:
        model = Model("m", uri, "sklearn", "1Mi", storage_secret=secret)
        return await self.fetcher.fetch(
            model, lambda: self.started.append(uri), self.held.append, again=again
        )

    async def after_a_second(self, uri: str) -> str:
        """Fetch when a failure is shared no more."""
        self.fetcher._failed.clear()  # noqa: SLF001 - no test waits a second
        return await self.fetch(uri)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_what_is_held_is_not_downloaded_again(bench: Bench) -> None:
    bench.sources = {uri: FakeSource(1, 1, "same") for uri in ("s3://b/a", "s3://b/b")}
    trees = [await bench.fetch(uri) for uri in ("s3://b/a", "s3://b/b", "s3://b/a")]
    assert len(set(trees)) == 1
    assert bench.held == trees
    assert bench.started == ["s3://b/a"]


async def test_many_models_of_one_address_bring_it_once(bench: Bench) -> None:
    bench.sources["s3://b/a"] = FakeSource(1, 1, "a")
    await asyncio.gather(*(bench.fetch("s3://b/a") for _ in range(9)))
    assert bench.started == ["s3://b/a"]


async def test_a_known_size_is_given_just_that(bench: Bench) -> None:
    source = bench.sources["s3://b/a"] = FakeSource(MIB, MIB, "a")
    await bench.fetch("s3://b/a")
    assert source.rooms == [MIB]


async def test_an_archive_is_given_more_and_more_until_it_fits(bench: Bench) -> None:
    source = bench.sources["s3://b/a.zip"] = FakeSource(MIB, 15 * MIB, "a")
    await bench.fetch("s3://b/a.zip")
    assert [room // MIB for room in source.rooms] == [9, 19]
    assert source.goes_on == [False, True]  # what has come of it is not downloaded again


async def test_an_archive_that_never_fits_says_so_and_is_not_brought_in_vain_again(
    bench: Bench,
) -> None:
    source = bench.sources["s3://b/a.zip"] = FakeSource(MIB, 99 * MIB, "a")
    for _ in range(2):
        with pytest.raises(FetchError, match="needs more than 19922944 bytes of disk") as caught:
            await bench.after_a_second("s3://b/a.zip")
        assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "StoreFull")
    assert len(source.rooms) == 2
    bench.sources["s3://b/a.zip"] = FakeSource(MIB, 2 * MIB, "other")
    assert await bench.after_a_second("s3://b/a.zip")


async def test_a_link_of_unknown_size_and_content_is_tried_each_time(bench: Bench) -> None:
    source = bench.sources["http://h/a"] = FakeSource(0, 99 * MIB, "")
    for _ in range(2):
        with pytest.raises(FetchError, match="needs more than"):
            await bench.after_a_second("http://h/a")
    source.whole = MIB
    assert await bench.after_a_second("http://h/a")


@pytest.mark.parametrize(
    ("kind", "kept"),
    [pytest.param(Kind.TRANSIENT, 1, id="goes-on"), pytest.param(Kind.PERMANENT, 0, id="ends")],
)
async def test_half_a_download_is_kept_where_another_try_helps(
    bench: Bench, kind: Kind, kept: int
) -> None:
    source = bench.sources["s3://b/a"] = FakeSource(1, 1, "a")
    source.failures = [FetchError(kind, Reason.DOWNLOAD_FAILED, "broke off")]
    with pytest.raises(FetchError, match="broke off"):
        await bench.fetch("s3://b/a")
    assert len(bench.store.unneeded()) == kept


async def test_what_is_being_removed_is_nothing_that_others_could_drop(bench: Bench) -> None:
    source = bench.sources["s3://b/a"] = FakeSource(MIB, MIB, "a")
    source.failures = [FetchError(Kind.PERMANENT, Reason.DOWNLOAD_FAILED, "no")]
    source.rest = 5000  # so many take a while to go
    fetch = asyncio.ensure_future(bench.fetch("s3://b/a"))
    seen = []
    while not fetch.done():
        seen += bench.store.unneeded()
        await asyncio.sleep(0)
    with pytest.raises(FetchError, match="no"):
        fetch.result()
    assert len(source.rooms) == 1
    assert seen == []
    assert bench.store.used() == 0


async def test_an_empty_folder_is_no_model(bench: Bench) -> None:
    bench.sources["s3://b/a"] = FakeSource(0, 0, "a", content=b"")
    with pytest.raises(FetchError, match="there is no file in it"):
        await bench.fetch("s3://b/a")
    assert bench.store.used() == 0


async def test_nothing_is_promised_after_a_failure(bench: Bench) -> None:
    source = bench.sources["s3://b/a"] = FakeSource(15 * MIB, MIB, "a")
    source.failures = [FetchError(Kind.PERMANENT, Reason.DOWNLOAD_FAILED, "no")]
    with pytest.raises(FetchError, match="no"):
        await bench.fetch("s3://b/a")
    assert await bench.after_a_second("s3://b/a")


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        pytest.param("whole", "Secret ns/whole has no AWS_ACCESS_KEY_ID", id="lacks-its-keys"),
        pytest.param(
            "other", "Secret other: credentials cannot be read: timed out", id="api-is-silent"
        ),
    ],
)
async def test_a_secret_of_the_models_own_is_never_passed_over(
    bench: Bench, secret: str, message: str
) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        await bench.fetch("s3://b/a", secret=secret)
    assert caught.value.reason == "CredentialsNotFound"


async def test_models_of_one_address_share_its_failure(bench: Bench) -> None:
    source = bench.sources["s3://b/a"] = FakeSource(1, 1, "a")
    source.failures = [FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, "down")]
    tries = (bench.fetch("s3://b/a") for _ in range(9))
    assert {str(each) for each in await asyncio.gather(*tries, return_exceptions=True)} == {"down"}
    assert len(source.rooms) == 1
    assert await bench.after_a_second("s3://b/a")


async def test_stores_that_do_not_answer_hold_up_no_other(bench: Bench) -> None:
    stuck = []
    for row in range(4):
        source = bench.sources[f"s3://b/{row}"] = FakeSource(1, 1, str(row))
        source.gate = asyncio.Event()
        stuck.append(asyncio.ensure_future(bench.fetch(f"s3://b/{row}", again=True)))
    bench.sources["s3://b/good"] = FakeSource(1, 1, "good")
    assert bench.fetcher.has_room_again
    assert await bench.fetch("s3://b/good")
    assert not bench.fetcher.has_room_again
    for each in stuck:
        each.cancel()
