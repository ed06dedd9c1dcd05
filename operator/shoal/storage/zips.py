"""Zip archives. Caller: archives. Runs in a worker thread."""

import io
import stat
import zipfile
from pathlib import Path
from typing import IO, cast

from shoal.storage.unpackings import ArchiveError, Unpacking

# The others need more memory than an agent has (LZMA's dictionary), and nobody asked for them.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_KINDS = {0, stat.S_IFREG, stat.S_IFDIR}
_ENTRY_BYTES = 512  # of the table of contents
_ENTRY_MARK = b"PK\x01\x02"
_ENCRYPTED = 0x1


class _Table(io.BufferedReader):
    """The archive's file, with a table of contents that is looked at before it is parsed."""

    def __init__(self, archive: Path, files: int) -> None:
        super().__init__(io.FileIO(archive))
        self._files = files

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > max(1 << 20, _ENTRY_BYTES * self._files):
            raise ArchiveError(f"the archive's table of contents has {size} bytes")
        block = super().read(size)
        if block.startswith(_ENTRY_MARK) and block.count(_ENTRY_MARK) > self._files:
            raise ArchiveError(f"the archive has more than {self._files} entries")
        return block


def unpack(archive: Path, unpacking: Unpacking) -> None:
    """Unpack a zip."""
    with _Table(archive, unpacking.files) as table, zipfile.ZipFile(table) as opened:
        entries = opened.infolist()
        unpacking.expect(sum(entry.file_size for entry in entries), archive.name)
        for entry in entries:
            _unpack(opened, entry, unpacking)


def _unpack(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, unpacking: Unpacking) -> None:
    unpacking.count()
    name = entry.filename
    if stat.S_IFMT(entry.external_attr >> 16) not in _KINDS:
        raise ArchiveError(f"the archive's entry {name!r} is a link or a device")
    if entry.is_dir():
        unpacking.folder(name)
        return
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"the archive's entry {name!r} is encrypted")
    if entry.compress_type not in _METHODS:
        raise ArchiveError(f"the archive's entry {name!r} is neither stored nor deflated")
    with opened.open(entry) as source:
        unpacking.file(name, cast("IO[bytes]", _Announced(source, entry.file_size)))


class _Announced:
    """Content that is no longer than was announced."""

    def __init__(self, source: IO[bytes], left: int) -> None:
        self._source = source
        self._left = left

    def read(self, size: int) -> bytes:
        block = self._source.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise ArchiveError("the archive holds more than it announces")
        return block
