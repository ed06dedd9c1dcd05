"""Where the entries of an archive go: inside a folder, each once, no more than may be.

A repository's files go there in the same way, so the words say which of the two it is.
Callers: tars, zips, repositories. Runs in a worker thread.
"""

import hashlib
import posixpath
import threading
from pathlib import Path, PurePosixPath
from typing import IO

_BLOCK = 1024 * 1024
_LONGEST_PATH = 1024
_HOPS = 40


class ArchiveError(ValueError):
    """Why an archive is not unpacked."""


class ArchiveTooBigError(ArchiveError):
    """It holds more than there is room for; the message has both numbers."""


class Unpacking:
    """One archive on its way to the disk; it ends soon after `stopped` is set."""

    def __init__(
        self, into: Path, limit: int, growth: int, files: int, what: str = "archive"
    ) -> None:
        self.files = files
        self.stopped = threading.Event()
        self._into = into
        self.sums: dict[str, str] = {}
        self._links: dict[str, str] = {}
        self._what = what
        self._limit = limit
        self._growth = growth
        self._done = 0
        self._entries = 0

    @property
    def most(self) -> int:
        """How many bytes may come of it at all."""
        return min(self._limit, self._growth)

    def count(self) -> None:
        """Take note of an entry.

        Raises:
            ArchiveError: there are too many, or nobody waits for it any more.
        """
        self._go_on()
        self._entries += 1
        if self._entries > self.files:
            raise ArchiveError(f"the {self._what} has more than {self.files} entries")

    def expect(self, size: int, name: str) -> None:
        """Look at what is announced, before any of it is written.

        Raises:
            ArchiveError: it is too much, or nobody waits for it any more.
        """
        self._go_on()
        if self._done + size > self._limit:
            raise ArchiveTooBigError(
                f"the {self._what} holds more than {self._limit} bytes by {name!r}, "
                "and there is no room for more"
            )
        if self._done + size > self._growth:
            raise ArchiveError(
                f"the {self._what} grows to more than {self._growth} bytes by {name!r}, "
                "far more than its own size: it is taken for a bomb"
            )

    def add(self, size: int) -> None:
        """Take note of bytes that were written."""
        self._done += size

    def folder(self, name: str) -> None:
        """Make a folder."""
        (self._into / path(name, self._what)).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, source: IO[bytes]) -> None:
        """Write a file.

        Raises:
            ArchiveError: it is too much, or another one has its name.
        """
        where = self._free(name)
        whole = hashlib.sha256()
        with (self._into / where).open("xb") as sink:
            while block := source.read(_BLOCK):
                self.expect(len(block), name)
                self.add(len(block))
                whole.update(block)
                sink.write(block)
        self.sums[where] = whole.hexdigest()

    def copy(self, name: str, source: str) -> None:
        """Write a file that has the content of one that was written before."""
        with (self._into / source).open("rb") as opened:
            self.file(name, opened)

    def link(self, name: str, base: str, target: str) -> None:
        """Take note of a link, whose `target` is a path from the folder `base`.

        Raises:
            ArchiveError: another one has its name.
        """
        where = path(name, self._what).as_posix()
        if where in self._links:
            raise ArchiveError(f"the {self._what} has {name!r} twice")
        self._links[where] = posixpath.normpath(posixpath.join(base, target))

    def finish(self) -> None:
        """Make each link a copy of the file that it leads to, when all files are there.

        Raises:
            ArchiveError: it leads to none.
        """
        for name in self._links:
            self.copy(name, self._end(name))

    def _go_on(self) -> None:
        if self.stopped.is_set():
            raise ArchiveError(f"the {self._what} is wanted no more")

    def _end(self, name: str) -> str:
        """Find the file that a link leads to, perhaps by other links."""
        target = self._links[name]
        for _ in range(_HOPS):
            if target in self.sums:
                return target
            if target not in self._links:
                break
            target = self._links[target]
        raise ArchiveError(f"the {self._what}'s entry {name!r} links to no file within it")

    def _free(self, name: str) -> str:
        """Make the path of a file that is not there yet."""
        where = path(name, self._what)
        if not where.parts:
            raise ArchiveError(f"the {self._what}'s entry {name!r} has no name")
        target = self._into / where
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise ArchiveError(f"the {self._what} has {name!r} twice")
        return where.as_posix()


def path(name: str, what: str = "archive") -> PurePosixPath:
    """Make the path of an entry, relative to the folder.

    Raises:
        ArchiveError: it is none, or lies elsewhere.
    """
    found = PurePosixPath(name.replace("\\", "/"))
    if found.is_absolute() or ".." in found.parts or "\0" in name:
        raise ArchiveError(f"the {what}'s entry {name!r} lies outside of it")
    if len(name) > _LONGEST_PATH:
        raise ArchiveError(f"the {what}'s entry {name[:80]!r}… has too long a name")
    return found
