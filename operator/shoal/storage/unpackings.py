"""Where the entries of an archive go: inside a folder, each once, no more than may be.

Callers: tars, zips. Runs in a worker thread.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import IO

_BLOCK = 1024 * 1024
_LONGEST_PATH = 1024


class ArchiveError(ValueError):
    """Why an archive is not unpacked."""


class ArchiveTooBigError(ArchiveError):
    """It holds more than there is room for; the message has both numbers."""


class Unpacking:
    """One archive on its way to the disk."""

    def __init__(self, into: Path, limit: int, growth: int, files: int) -> None:
        self.files = files
        self.sums: dict[str, str] = {}
        self._into = into
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
            ArchiveError: there are too many.
        """
        self._entries += 1
        if self._entries > self.files:
            raise ArchiveError(f"the archive has more than {self.files} entries")

    def expect(self, size: int, name: str) -> None:
        """Look at what is announced, before any of it is written.

        Raises:
            ArchiveError: it is too much.
        """
        if self._done + size > self._limit:
            raise ArchiveTooBigError(
                f"the archive holds more than {self._limit} bytes by {name!r}, "
                "and there is no room for more"
            )
        if self._done + size > self._growth:
            raise ArchiveError(
                f"the archive grows to more than {self._growth} bytes by {name!r}, "
                "far more than its own size: it is taken for a bomb"
            )

    def folder(self, name: str) -> None:
        """Make a folder."""
        (self._into / path(name)).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, source: IO[bytes]) -> None:
        """Write a file.

        Raises:
            ArchiveError: it is too much, or another one has its name.
        """
        where = path(name)
        if not where.parts:
            raise ArchiveError(f"the archive's entry {name!r} has no name")
        target = self._into / where
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise ArchiveError(f"the archive has {name!r} twice")
        whole = hashlib.sha256()
        with target.open("xb") as sink:
            while block := source.read(_BLOCK):
                self.expect(len(block), name)
                self._done += len(block)
                whole.update(block)
                sink.write(block)
        self.sums[where.as_posix()] = whole.hexdigest()

    def copy(self, name: str, source: str) -> None:
        """Write a file that has the content of one that was written before."""
        with (self._into / source).open("rb") as opened:
            self.file(name, opened)


def path(name: str) -> PurePosixPath:
    """Make the path of an entry, relative to the folder.

    Raises:
        ArchiveError: it is none, or lies elsewhere.
    """
    found = PurePosixPath(name.replace("\\", "/"))
    if found.is_absolute() or ".." in found.parts or "\0" in name:
        raise ArchiveError(f"the archive's entry {name!r} lies outside of it")
    if len(name) > _LONGEST_PATH:
        raise ArchiveError(f"the archive's entry {name[:80]!r}… has too long a name")
    return found
