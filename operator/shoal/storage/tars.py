"""Tar archives, plain or gzipped. Caller: archives. Runs in a worker thread.

Debian 12's Python has no `tarfile` filters, so nothing is extracted by the library: it reads the
headers, and what each entry may become is decided here.
"""

import gzip
import posixpath
import tarfile
from pathlib import Path
from typing import IO, cast

from shoal.storage.unpackings import ArchiveError, Unpacking, path

_GZIP = b"\x1f\x8b"
_HEADER = 4 * 1024 * 1024  # bytes that one entry's headers may have; a path has up to 4 KiB
_OVERHEAD = 2048  # what an entry has beside its content, usually
_REST = 16 * 1024 * 1024  # of padding after the last entry
_BLOCK = 256 * 1024
_TAIL = 1024


class _Forward:
    """A stream that is read once, from its start to its end, in pieces of bounded size.

    The library asks for what a header announces, and goes where a header leads: that may be
    gigabytes at once, and backwards for ever.
    """

    def __init__(self, source: IO[bytes], most: int) -> None:
        self._source = source
        self._most = most
        self._at = 0  # of the source
        self._wanted = 0  # by the reader
        self._tail = b""
        self._header = 0

    def expect_header(self) -> None:
        """Count what is read from here on as one entry's headers."""
        self._header = _HEADER

    def expect_content(self) -> None:
        """Count what is read from here on as content."""
        self._header = 0

    def tell(self) -> int:
        return self._wanted

    def seek(self, position: int) -> int:
        self._wanted = position
        return position

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER:
            raise ArchiveError("the tar archive is broken: it has a header of impossible size")
        if self._header:
            self._header -= size
            if self._header <= 0:
                raise ArchiveError("the tar archive is broken: its headers are too large")
        block = self._meet()[:size]
        while len(block) < size and (more := self._take(size - len(block))):
            block += more
        self._wanted += len(block)
        return block

    def _meet(self) -> bytes:
        """Go to where the reader wants to be; what was read already comes from memory."""
        while self._wanted > self._at:
            if not self._take(min(_BLOCK, self._wanted - self._at)):
                break
        back = max(0, self._at - self._wanted)
        if back > len(self._tail):
            raise ArchiveError("the tar archive is broken: it leads backwards")
        return self._tail[len(self._tail) - back :]

    def finish(self) -> None:
        """Read to the end, where a gzip has its checksum."""
        left = _REST
        while more := self._take(_BLOCK):
            left -= len(more)
            if left < 0:
                raise ArchiveError("the tar archive goes on after its end")

    def _take(self, size: int) -> bytes:
        block = self._source.read(size)
        self._at += len(block)
        if self._at > self._most:
            raise ArchiveError("the tar archive is larger than its entries say")
        self._tail = (self._tail + block)[-_TAIL:]
        return block


def unpack(archive: Path, unpacking: Unpacking) -> None:
    """Unpack a tar; a link to a file within becomes a copy of that file."""
    most = unpacking.most + _OVERHEAD * unpacking.files + _REST
    with _opened(archive) as source:
        forward = _Forward(source, most)
        forward.expect_header()
        with tarfile.open(fileobj=cast("IO[bytes]", forward), mode="r:") as opened:
            while member := _next(opened, forward):
                _unpack(opened, member, unpacking)
            if not opened.offset:
                raise ArchiveError("the tar archive is empty")
        forward.finish()
    unpacking.finish()


def _opened(archive: Path) -> IO[bytes]:
    with archive.open("rb") as probe:
        is_packed = probe.read(len(_GZIP)) == _GZIP
    return cast("IO[bytes]", gzip.open(archive)) if is_packed else archive.open("rb")


def _next(opened: tarfile.TarFile, forward: _Forward) -> tarfile.TarInfo | None:
    forward.expect_header()
    member = opened.next()
    opened.members = []  # type: ignore[attr-defined]  # the library would remember all of them
    forward.expect_content()
    return member


def _unpack(opened: tarfile.TarFile, member: tarfile.TarInfo, unpacking: Unpacking) -> None:
    unpacking.count()
    name = member.name
    if member.isdir():
        unpacking.folder(name)
    elif member.issym() or member.islnk():
        # A symbolic link starts at its own folder, a hard one at the archive's.
        base = posixpath.dirname(path(name).as_posix()) if member.issym() else ""
        unpacking.link(name, base, member.linkname)
    elif member.isreg() and member.size >= 0:
        unpacking.expect(member.size, name)
        content = opened.extractfile(member)
        if content is None:
            raise ArchiveError(f"the archive's entry {name!r} has no content")
        unpacking.file(name, content)
    else:
        raise ArchiveError(f"the archive's entry {name!r} is a device")
