"""Which failures are tried again, for how long, and what stays on the disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shoal.agent import deliveries
from shoal.agent.accounts import Pace
from shoal.agent.deliveries import Tools
from shoal.agent.destinations import PARTIAL
from shoal.reasons import Reason
from shoal.storage import transfers
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.jobs import Terms
from shoal.storage.limits import Limits
from shoal.storage.sessions import Sessions
from shoal.storage.uris import Location

LOCATION = transfers.parse("s3://b/m")
DOWN = FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, "it is down")
ODD = FetchError(Kind.UNKNOWN, Reason.DOWNLOAD_FAILED, "it is odd")
GONE = FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, "it is gone")
BROKEN = FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, "it broke off")


@dataclass
class Store:
    """A store whose lookups and downloads go as `plan` says: a failure, or bytes and one."""

    plan: list[FetchError | tuple[int, FetchError | None]]
    size: int = 100
    fingerprint: str = "one"
    asked: int = 0
    told: list[str] = field(default_factory=list)
    now: float = 0.0
    terms: Terms = field(default_factory=Terms)
    limits: Limits = field(default_factory=Limits)
    late: float = 60  # seconds after which `is_late` is set
    is_late: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def opened(
        self, _location: object, _known: object, _sessions: object, terms: Terms
    ) -> AsyncIterator[Any]:
        self.asked += 1
        self.terms = terms
        if self.plan and isinstance(self.plan[0], FetchError):
            failure = self.plan.pop(0)
            assert isinstance(failure, FetchError)
            raise failure
        yield self

    async def download(
        self, work: Path, room: int, count: Callable[[int], None]
    ) -> dict[str, str]:
        assert room > 0
        came, failure = self.plan.pop(0) if self.plan else (self.size, None)  # type: ignore[misc]
        count(came)
        if failure is not None:
            raise failure
        (work / transfers.TREE).mkdir()
        if self.size:
            (work / transfers.TREE / "a").write_text("x")
        return {}

    async def _pause(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.late:
            self.is_late.set()

    async def bring(self, folder: Path, patience: float = 60, **given: Any) -> None:
        async def find() -> tuple[Location, Credentials]:
            return LOCATION, Credentials()

        pace = Pace(lambda: self.now, self._pause)
        tools = Tools(
            Sessions(),
            self.limits,
            patience,
            self.told.append,
            lambda: 1.0,
            pace,
            self.opened,
            **given,
        )
        await deliveries.run(LOCATION.shown, find, folder, tools)


async def test_a_store_that_comes_back_is_waited_for_and_why_is_told(tmp_path: Path) -> None:
    store = Store([DOWN, DOWN])
    await store.bring(tmp_path)
    assert (tmp_path / "a").exists()
    assert store.told[:2] == ["it is down; next try in 0.5 s", "it is down; next try in 1.0 s"]
    assert store.told[-1] == f"s3://b/m: is in {tmp_path}"
    assert not store.terms.is_summed, "nobody asks for its sums"
    assert store.terms.is_alone, "nothing else is done meanwhile"


@pytest.mark.parametrize("failure", [ODD, GONE], ids=["odd", "gone"])
async def test_what_time_does_not_heal_ends_it_at_once(
    tmp_path: Path, failure: FetchError
) -> None:
    store = Store([failure])
    with pytest.raises(FetchError, match=failure.message):
        await store.bring(tmp_path)
    assert store.asked == 1


async def test_patience_ends(tmp_path: Path) -> None:
    store = Store([DOWN] * 1000)
    with pytest.raises(FetchError, match="it is down"):
        await store.bring(tmp_path, patience=60)
    assert 45 <= store.now <= 60


async def test_progress_renews_the_patience_and_the_same_bytes_again_do_not(
    tmp_path: Path,
) -> None:
    further = Store([(10 + tried, BROKEN) for tried in range(50)])
    await further.bring(tmp_path / "further", patience=16)
    assert further.asked == 51
    same = Store([(10, BROKEN)] * 1000)
    with pytest.raises(FetchError, match="it broke off"):
        await same.bring(tmp_path / "same", patience=16)
    assert same.now <= 16


@pytest.mark.parametrize(
    ("failure", "kept"),
    [
        pytest.param(BROKEN, True, id="broken-off-stays-for-the-next-run"),
        pytest.param(GONE, False, id="refused-does-not"),
    ],
)
async def test_half_downloads(tmp_path: Path, failure: FetchError, *, kept: bool) -> None:
    with pytest.raises(FetchError):
        await Store([(10, failure)] * 100).bring(tmp_path, patience=1)
    assert (tmp_path / PARTIAL).exists() is kept


async def test_a_lookup_that_is_refused_leaves_the_half_download(tmp_path: Path) -> None:
    store = Store([(10, BROKEN), GONE])
    with pytest.raises(FetchError, match="it is gone"):
        await store.bring(tmp_path)
    assert (tmp_path / PARTIAL / "one").exists()


async def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    await Store([]).bring(tmp_path)
    again = Store([(0, GONE)])
    await again.bring(tmp_path)
    assert again.told == [f"s3://b/m: is in {tmp_path} already, nothing to do"]


async def test_what_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        await Store([], size=1 << 60).bring(tmp_path)
    assert caught.value.reason is Reason.STORE_FULL
    assert caught.value.message.startswith("s3://b/m: 1048576.0 TiB are to come, and the disk of ")


async def test_a_model_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="there is no file in it"):
        await Store([], size=0).bring(tmp_path)


async def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError) as caught:
        await Store([]).bring(tmp_path / "file" / "models")
    assert caught.value.message == "s3://b/m: cannot be written: Not a directory"


async def test_what_was_promised_of_the_content_is_asked_for(tmp_path: Path) -> None:
    store = Store([])
    await store.bring(tmp_path, digest="sha256:12")
    assert store.terms.digest == "sha256:12"
