"""One way to fetch, whatever the address: look up, compare, download, unpack.

```
 opened(location) ──► Source.fingerprint, .size ──► held already? stop here
                                   │ no
                                   ▼
                      Source.download(work) ──► work/tree: the model's folder
```
"""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from aiohttp import ClientSession

from shoal.reasons import Reason
from shoal.storage import archives, credentials, objectstores, uris, webfiles
from shoal.storage.archives import ArchiveError, ArchiveTooBigError
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.objectstores import Bucket, Found
from shoal.storage.uris import Location, Scheme
from shoal.storage.webfiles import Page

TREE = "tree"
_SCRATCH = "download"

Count = Callable[[int], None]


class Source(Protocol):
    """What an address names now."""

    @property
    def fingerprint(self) -> str:
        """The same text means the same content; "" when that cannot be told."""

    @property
    def size(self) -> int:
        """Bytes to download; 0 when not announced."""

    async def download(self, work: Path, room: int, count: Count) -> None:
        """Make the folder `work/tree`, of at most `room` bytes; `count` is told of bytes."""


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
    location: Location, known: Credentials, session: ClientSession
) -> AsyncIterator[Source]:
    """Look an address up.

    Raises:
        FetchError: nothing is there, or nobody answers.
    """
    if location.scheme in {Scheme.HTTP, Scheme.HTTPS}:
        async with webfiles.opened(session, location, known) as page:
            yield _WebSource(location, page)
        return
    bucket = _bucket(location, known)
    yield _ObjectSource(location, bucket, await objectstores.find(bucket, location))


class _ObjectSource:
    def __init__(self, location: Location, bucket: Bucket, found: Found) -> None:
        self._location = location
        self._bucket = bucket
        self._found = found

    @property
    def fingerprint(self) -> str:
        rows = [f"{item.key}\0{item.size}\0{item.version}" for item in self._found.items]
        return _fingerprint(self._location, [self._bucket.endpoint, *sorted(rows)])

    @property
    def size(self) -> int:
        return sum(item.size for item in self._found.items)

    async def download(self, work: Path, room: int, count: Count) -> None:
        found = ""
        if self._found.is_single:
            found = archives.kind(self._found.items[0].path)
        into = _made(work / (_SCRATCH if found else TREE))
        await objectstores.download(self._bucket, self._location, self._found, into, count)
        if found:
            archive = into / self._found.items[0].path
            await _unpack(self._location, archive, work, found, room - self.size)


class _WebSource:
    def __init__(self, location: Location, page: Page) -> None:
        self._location = location
        self._page = page

    @property
    def fingerprint(self) -> str:
        if not self._page.version:
            return ""
        return _fingerprint(self._location, [self._page.version, str(self._page.size)])

    @property
    def size(self) -> int:
        return self._page.size

    async def download(self, work: Path, room: int, count: Count) -> None:
        found = archives.kind(self._page.name, self._page.content_type)
        into = _made(work / (_SCRATCH if found else TREE))
        target = into / self._page.name
        await webfiles.save(self._page, self._location, target, room, count)
        if found:
            left = room - target.stat().st_size
            await _unpack(self._location, target, work, found, left)


async def _unpack(location: Location, archive: Path, work: Path, found: str, room: int) -> None:
    tree = _made(work / TREE)
    try:
        await asyncio.to_thread(archives.unpack, archive, tree, found, room)
    except ArchiveTooBigError as error:
        message = f"{location.shown}: {error}"
        raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message) from error
    except ArchiveError as error:
        message = f"{location.shown}: {error}"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message) from error
    await asyncio.to_thread(shutil.rmtree, archive.parent)


def _bucket(location: Location, known: Credentials) -> Bucket:
    hint = "; ".join(known.missing)
    if location.scheme is Scheme.GS:
        gcs = credentials.gcs(known)
        hint = hint if gcs.origin == "no credentials" else ""
        return objectstores.open_gcs(location, gcs, hint or _hint(gcs.origin))
    s3 = credentials.s3(known)
    hint = hint if s3.origin == "no credentials" else ""
    return objectstores.open_s3(location, s3, hint or _hint(s3.origin))


def _hint(origin: str) -> str:
    if origin != "no credentials":
        return ""
    return "list a Secret with the keys under secrets of the pod's ServiceAccount"


def _fingerprint(location: Location, rows: Sequence[str]) -> str:
    whole = "\n".join([location.uri, *rows])
    return hashlib.sha256(whole.encode()).hexdigest()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
