"""Models behind http and https links, as `transfers` fetches whatever it is. Caller: transfers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from aiohttp import ClientSession

from shoal.storage import archives, webfiles
from shoal.storage.credentials import Credentials
from shoal.storage.jobs import Job, Sums
from shoal.storage.webfiles import Page

Count = Callable[[int], None]


@asynccontextmanager
async def opened(
    session: ClientSession, job: Job, known: Credentials
) -> AsyncIterator["WebSource"]:
    """Ask for a link.

    Raises:
        FetchError: the server cannot be reached or refuses, or announces more than is allowed.
    """
    async with webfiles.opened(session, job.location, known, job.limits) as page:
        job.accept(page.size)
        yield WebSource(job, page)


class WebSource:
    """What a link names now."""

    def __init__(self, job: Job, page: Page) -> None:
        self._job = job
        self._page = page

    @property
    def fingerprint(self) -> str:
        """The same text means the same content; "" when the server does not tell."""
        if not self._page.version:
            return ""
        return self._job.fingerprint([self._page.version, str(self._page.size)])

    @property
    def size(self) -> int:
        """Bytes to download; 0 when not announced."""
        return self._page.size

    async def download(self, work: Path, room: int, count: Count) -> Sums:
        """Make the folder `work/tree`; as `transfers.Source` has it."""
        page = self._page
        kind = archives.kind(page.name, page.content_type)
        with closing(self._job.partial(work)) as partial:
            folder = self._job.folder(work, kind)
            file = partial.file(f"{folder}/{page.name}", page.size)
            left = room + file.written
            async with self._job.watched(page.size, count) as seen:
                await webfiles.save(page, file, self._job.bound(left), seen, self._job.run)
            sums = await self._job.sum_up(file.written, {page.name: file})
        self._job.check(sums, is_single=True)
        return await self._job.unpack(work, kind, left - file.written) if kind else sums
