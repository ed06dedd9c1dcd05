"""One way to fetch, whatever the address: look up, compare, download, unpack.

```
 opened(location) ──► Source.fingerprint, .size ──► held already? stop here
                                   │ no
                                   ▼
                      Source.download(work) ──► work/tree: the model's folder
```

The same `work` given again, for the same fingerprint, goes on where a broken download stopped.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

from aiohttp import ClientSession

from shoal.reasons import Reason
from shoal.storage import archives, downloads, jobs, openings, uris, webfiles
from shoal.storage.buckets import Found
from shoal.storage.credentials import Credentials
from shoal.storage.downloads import Wanted
from shoal.storage.failures import FetchError, Kind
from shoal.storage.jobs import Job, Sums
from shoal.storage.limits import Limits
from shoal.storage.partials import Partial
from shoal.storage.uris import Location, Scheme
from shoal.storage.webfiles import Page

TREE = jobs.TREE

Count = Callable[[int], None]


class Source(Protocol):
    """What an address names now."""

    @property
    def fingerprint(self) -> str:
        """The same text means the same content; "" when that cannot be told."""

    @property
    def size(self) -> int:
        """Bytes to download; 0 when not announced."""

    async def download(self, work: Path, room: int, count: Count) -> Sums:
        """Make the folder `work/tree`, with at most `room` more bytes on the disk.

        `count` is told of bytes. Returns the sha256 of each file in the tree by its path; of
        some or none where nobody wants to know them.
        """


class Opened(Protocol):
    """Looks an address up: `opened`."""

    def __call__(
        self,
        location: Location,
        known: Credentials,
        session: ClientSession,
        *,
        digest: str = "",
        limits: Limits | None = None,
        is_summed: bool = True,
    ) -> AbstractAsyncContextManager[Source]:
        """Look an address up."""


def parse(uri: str) -> Location:
    """Read an address.

    Raises:
        FetchError: it is none.
    """
    try:
        return uris.parse(uri)
    except uris.UriError as error:
        message = f"storageUri: {error}"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_STORAGE_URI, message) from error


@asynccontextmanager
async def opened(
    location: Location,
    known: Credentials,
    session: ClientSession,
    *,
    digest: str = "",
    limits: Limits | None = None,
    is_summed: bool = True,
) -> AsyncIterator[Source]:
    """Look an address up; what it brings must have the `digest`, if one is given.

    Without `is_summed` nobody wants to know the sha256 of what it brings, but of that.

    Raises:
        FetchError: nothing is there, nobody answers, or it is more than `limits` allow.
    """
    job = Job(location, digest, limits or Limits(), is_summed=is_summed or bool(digest))
    if location.is_repository:
        from shoal.storage import repositories  # noqa: PLC0415 - few agents ever ask for one

        yield await repositories.find(session, job, known)
        return
    if location.scheme in {Scheme.HTTP, Scheme.HTTPS}:
        async with webfiles.opened(session, location, known, job.limits) as page:
            job.accept(page.size)
            yield _WebSource(job, page)
        return
    source = _FoundSource(job, await openings.find(location, known, session, job.limits))
    job.accept(source.size)
    yield source


class _FoundSource:
    def __init__(self, job: Job, found: Found) -> None:
        self._job = job
        self._found = found
        self._items = {item.key: item for item in found.items}

    @property
    def fingerprint(self) -> str:
        items = self._items.values()
        rows = [f"{item.key}\0{item.size}\0{item.version}" for item in items]
        return self._job.fingerprint([self._found.place, *sorted(rows)])

    @property
    def size(self) -> int:
        return sum(item.size for item in self._items.values())

    async def download(self, work: Path, room: int, count: Count) -> Sums:
        items = self._items.values()
        kind = archives.kind(next(iter(items)).path) if self._found.is_single else ""
        with closing(Partial(work, is_summed=self._job.is_summed)) as partial:
            folder = self._job.folder(work, kind)
            wanted = [
                Wanted(item.key, partial.file(f"{folder}/{item.path}", item.size))
                for item in items
            ]
            left = room - self.size + sum(each.file.written for each in wanted)
            async with self._job.watched(self.size, count) as seen:
                await downloads.run(wanted, self._read, self._job.location.shown, seen)
            paths = {item.path: each.file for item, each in zip(items, wanted, strict=True)}
            sums = await self._job.sum_up(self.size, paths)
        self._job.check(sums, is_single=self._found.is_single)
        return await self._job.unpack(work, kind, left) if kind else sums

    def _read(self, key: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        return self._found.read(self._items[key], (start, end))


class _WebSource:
    def __init__(self, job: Job, page: Page) -> None:
        self._job = job
        self._page = page

    @property
    def fingerprint(self) -> str:
        if not self._page.version:
            return ""
        return self._job.fingerprint([self._page.version, str(self._page.size)])

    @property
    def size(self) -> int:
        return self._page.size

    async def download(self, work: Path, room: int, count: Count) -> Sums:
        page = self._page
        kind = archives.kind(page.name, page.content_type)
        with closing(Partial(work, is_summed=self._job.is_summed)) as partial:
            folder = self._job.folder(work, kind)
            file = partial.file(f"{folder}/{page.name}", page.size)
            left = room + file.written
            async with self._job.watched(page.size, count) as seen:
                await webfiles.save(page, file, self._job.bound(left), seen)
            sums = await self._job.sum_up(file.written, {page.name: file})
        self._job.check(sums, is_single=True)
        return await self._job.unpack(work, kind, left - file.written) if kind else sums
