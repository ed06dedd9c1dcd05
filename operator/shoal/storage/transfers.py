"""One way to fetch, whatever the address: look up, compare, download, unpack.

```
 opened(location) ──► Source.fingerprint, .size ──► held already? stop here
                                   │ no
                                   ▼
                      Source.download(work) ──► work/tree: the model's folder
```

The same `work` given again, for the same fingerprint, goes on where a broken download stopped.
What only some addresses need is imported when one of them is looked up.
"""
# ruff: noqa: PLC0415

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

from shoal.reasons import Reason
from shoal.storage import archives, downloads, jobs, openings, uris
from shoal.storage.buckets import Found
from shoal.storage.credentials import Credentials
from shoal.storage.downloads import Wanted
from shoal.storage.failures import FetchError, Kind
from shoal.storage.jobs import Job, Sums, Terms
from shoal.storage.sessions import Sessions
from shoal.storage.uris import Location, Scheme

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
        sessions: Sessions,
        terms: Terms,
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
    sessions: Sessions,
    terms: Terms,
) -> AsyncIterator[Source]:
    """Look an address up, to be downloaded on these terms.

    Raises:
        FetchError: nothing is there, nobody answers, or it is more than is allowed.
    """
    job = Job(location, terms)
    if location.is_repository:
        from shoal.storage import repositories

        yield await repositories.find(sessions.get(), job, known)
        return
    if location.scheme in {Scheme.HTTP, Scheme.HTTPS}:
        from shoal.storage import websources

        async with websources.opened(sessions.get(), job, known) as page:
            yield page
        return
    source = _FoundSource(job, await openings.find(location, known, sessions, job.limits))
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
        with closing(self._job.partial(work)) as partial:
            folder = self._job.folder(work, kind)
            wanted = [
                Wanted(item.key, partial.file(f"{folder}/{item.path}", item.size))
                for item in items
            ]
            left = room - self.size + sum(each.file.written for each in wanted)
            async with self._job.watched(self.size, count) as seen:
                shown = self._job.location.shown
                await downloads.run(wanted, self._read, shown, seen, self._job.run)
            paths = {item.path: each.file for item, each in zip(items, wanted, strict=True)}
            sums = await self._job.sum_up(self.size, paths)
        self._job.check(sums, is_single=self._found.is_single)
        return await self._job.unpack(work, kind, left) if kind else sums

    def _read(self, key: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        return self._found.read(self._items[key], (start, end))
