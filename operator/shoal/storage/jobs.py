"""What every download does, whatever brings its bytes: bounds, promises, archives."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shoal.reasons import Reason
from shoal.storage import archives, digests, downloads, threads
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from shoal.storage.partials import File, Partial
from shoal.storage.threads import Run
from shoal.storage.unpackings import ArchiveError, ArchiveTooBigError
from shoal.storage.uris import Location

TREE = "tree"
_SCRATCH = "download"

Sums = Mapping[str, str]  # the sha256 of each file by its path


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a download beside its bytes.

    `digest` was promised of them, `sha256:<hex>`; "" promises nothing. `is_summed` tells that
    the sha256 of its files are wanted: without, the cores that it keeps busy have a seventh less
    to do. `is_alone` tells that nobody but downloads waits for this event loop.
    """

    digest: str = ""
    limits: Limits = field(default_factory=Limits)
    is_summed: bool = True
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One download: from where, and on what terms."""

    location: Location
    terms: Terms

    @property
    def digest(self) -> str:
        """What was promised of it."""
        return self.terms.digest

    @property
    def limits(self) -> Limits:
        """How much it may be."""
        return self.terms.limits

    @property
    def is_summed(self) -> bool:
        """Whether somebody wants the sums of its files."""
        return self.terms.is_summed or bool(self.digest)

    @property
    def run(self) -> Run:
        """How its files are written."""
        return threads.here if self.terms.is_alone else threads.run

    def partial(self, work: Path) -> Partial:
        """Open the folder of what has come of it."""
        return Partial(work, is_summed=self.is_summed)

    def accept(self, size: int) -> None:
        """Look at the announced size.

        Raises:
            FetchError: it is more than is accepted.
        """
        self.limits.accept_size(self.location.shown, size)

    def fingerprint(self, rows: Sequence[str]) -> str:
        """Name the content that these rows tell of; unchecked bytes have another name."""
        promised = [self.digest] if self.digest else []
        whole = "\n".join([self.location.uri, *rows, *promised])
        return hashlib.sha256(whole.encode()).hexdigest()

    def folder(self, work: Path, kind: str) -> str:
        """Make the folder of the files to download: the tree itself, or a place for an archive."""
        name = _SCRATCH if kind else TREE
        (work / name).mkdir(parents=True, exist_ok=True)
        return name

    @asynccontextmanager
    async def watched(
        self, size: int, count: Callable[[int], None]
    ) -> AsyncIterator[Callable[[int], None]]:
        """Break off what stands still or takes too long.

        Raises:
            FetchError: it did.
        """
        async with downloads.watched(self.limits, self.location.shown, size, count) as seen:
            yield seen

    async def sum_up(self, size: int, files: Mapping[str, File]) -> Sums:
        """Finish the sums of the files that have come, `size` bytes in all, if they are wanted."""
        return await threads.run(size, _sums, files) if self.is_summed else {}

    def check(self, sums: Sums, *, is_single: bool) -> None:
        """Compare what came with what was promised, if anything was.

        Raises:
            FetchError: it is something else.
        """
        if not self.digest:
            return
        found = next(iter(sums.values())) if is_single else digests.manifest(sums)
        what = "" if is_single else "the list of its files"
        digests.check(self.location.shown, self.digest, found, what)

    def bound(self, room: int) -> int:
        """Tell how many bytes may be written at most."""
        return min(room, self.limits.size)

    @contextmanager
    def judging(self, room: int) -> Iterator[int]:
        """Say why something is not unpacked; yields how many bytes may come of it.

        Raises:
            FetchError: it is broken, dangerous or too large.
        """
        bound, shown = self.bound(room), self.location.shown
        try:
            yield bound
        except ArchiveTooBigError as error:
            reason = Reason.STORE_FULL if bound == room else Reason.ARTIFACT_TOO_LARGE
            raise FetchError(Kind.PERMANENT, reason, f"{shown}: {error}") from error
        except ArchiveError as error:
            message = f"{shown}: {error}"
            raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message) from error

    async def unpack(self, work: Path, kind: str, room: int) -> Sums:
        """Make the tree of the archive that has come, and remove the archive.

        Raises:
            FetchError: it is broken, dangerous or too large.
        """
        archive = next((work / _SCRATCH).iterdir())
        tree = work / TREE
        await asyncio.to_thread(shutil.rmtree, tree, ignore_errors=True)  # of a killed process
        tree.mkdir()
        with self.judging(room) as bound:
            unpacking = archives.opening(archive, tree, bound, self.limits)
            sums = await threads.until(
                unpacking.stopped, lambda: archives.unpack(archive, kind, unpacking)
            )
        await asyncio.to_thread(shutil.rmtree, archive.parent)
        return sums


def _sums(files: Mapping[str, File]) -> Sums:
    return {path: file.sha256() for path, file in files.items()}
