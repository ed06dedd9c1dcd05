"""Packs of git, read once from start to end: each object becomes a file (gitformat-pack).

Nothing is held whole, however large: what is stored as it is goes through in pieces, and what
is stored as a difference takes its pieces from the file of the object that it differs from.
Caller: gittrees. Runs in a worker thread.
"""

import bisect
import hashlib
import os
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from shoal.storage.unpackings import ArchiveError, Unpacking

ID_BYTES = 20
_HEADER = struct.Struct(">4sII")
_MAGIC = b"PACK"
_VERSIONS = {2, 3}
_BLOCK = 16 * 1024  # more would be copied for each of many small objects
_COPY = 256 * 1024
_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_BY_OFFSET, _BY_ID = 6, 7
_MORE, _SEVEN = 0x80, 0x7F
_LONGEST_NUMBER = 64  # bits
_OBJECTS_PER_FILE = 2  # there are folders and a commit beside the files
_FEW_OBJECTS = 1000

Base = bytes | int  # the id of an object, or where it is in the pack


class Objects:
    """The objects that were read, as files of one folder: `<id>.<kind>`."""

    def __init__(self, folder: Path, unpacking: Unpacking) -> None:
        self.sums: dict[bytes, str] = {}  # sha256 of each blob
        self._folder = folder
        self._unpacking = unpacking
        self._offsets = array("Q")  # sorted, while the pack is read from start to end
        self._ids = bytearray()
        self._late: dict[int, bytes] = {}

    def find(self, key: Base) -> Path | None:
        """Tell where an object is."""
        name = self._name(key)
        paths = (self._folder / f"{name}.{kind}" for kind in _KINDS.values())
        return next((path for path in paths if path.exists()), None) if name else None

    def path(self, name: bytes, kind: str) -> Path:
        """Tell where an object of this kind would be."""
        return self._folder / f"{name.hex()}.{kind}"

    def write(self, kind: str, size: int, pieces: Iterator[bytes]) -> bytes:
        """Write an object of `size` bytes, and return its id.

        Raises:
            ArchiveError: it is more than may come, or other than announced.
        """
        self._unpacking.expect(size, f"a {kind} of {size} bytes")
        self._unpacking.add(size)
        # Names of objects are SHA-1; this promises nothing but that they are found.
        named = hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)
        summed = hashlib.sha256()
        left = size
        new = self._folder / "new"
        with new.open("wb") as sink:
            for piece in pieces:
                left -= len(piece)
                if left < 0:
                    break
                named.update(piece)
                summed.update(piece)
                sink.write(piece)
        if left:
            raise ArchiveError(f"the repository's pack is broken: a {kind} is not {size} bytes")
        name = named.digest()
        new.rename(self.path(name, kind))
        if kind == "blob":
            self.sums[name] = summed.hexdigest()
        return name

    def note(self, offset: int, name: bytes) -> None:
        """Take note of where in the pack an object is."""
        if self._offsets and offset < self._offsets[-1]:
            self._late[offset] = name
        else:
            self._offsets.append(offset)
            self._ids += name

    def _name(self, key: Base) -> str:
        if isinstance(key, bytes):
            return key.hex()
        if key in self._late:
            return self._late[key].hex()
        at = bisect.bisect_left(self._offsets, key)
        if at == len(self._offsets) or self._offsets[at] != key:
            return ""
        return self._ids[at * ID_BYTES : (at + 1) * ID_BYTES].hex()


def unpack(pack: Path, folder: Path, unpacking: Unpacking) -> Objects:
    """Write each object of a pack into an empty folder.

    Raises:
        ArchiveError: it is broken, or has more than may be.
        zlib.error: it is broken.
    """
    objects = Objects(folder, unpacking)
    with pack.open("rb", buffering=0) as opened:
        _Pack(_Stream(opened), objects).read(unpacking.files)
    return objects


class _Pack:
    """A pack that is being read; `waiting` are those whose base comes later."""

    def __init__(self, stream: "_Stream", objects: Objects) -> None:
        self._stream = stream
        self._objects = objects
        self._waiting: dict[Base, list[int]] = {}

    def read(self, files: int) -> None:
        magic, version, count = _HEADER.unpack(self._stream.take(_HEADER.size))
        if magic != _MAGIC or version not in _VERSIONS:
            raise ArchiveError("what the server sent is no pack of git")
        most = _OBJECTS_PER_FILE * files + _FEW_OBJECTS
        if count > most:
            raise ArchiveError(
                f"the repository has {count} objects of git in one commit, more than {most}, "
                f"which is {_OBJECTS_PER_FILE} for each of {files} files (fetchMaxFiles)"
            )
        for _ in range(count):
            self._read()
        self._settle()

    def _settle(self) -> None:
        """Read those whose base came after them."""
        ready = [key for key in self._waiting if self._objects.find(key)]
        while ready:
            for offset in self._waiting.pop(ready.pop(), []):
                self._stream.seek(offset)
                name = self._read()
                ready += [key for key in (name, offset) if key in self._waiting]
        if self._waiting:
            raise ArchiveError("the repository's pack is broken: an object's base is missing")

    def _read(self) -> bytes:
        """Read one object, or put it off."""
        offset = self._stream.at
        kind, size = self._head()
        if kind in _KINDS:
            name = self._objects.write(_KINDS[kind], size, self._stream.inflated())
        else:
            base = self._base(kind, offset)
            found = self._objects.find(base)
            if found is None:
                self._waiting.setdefault(base, []).append(offset)
                for _ in self._stream.inflated():
                    pass
                return b""
            name = self._derive(found)
        self._objects.note(offset, name)
        return name

    def _derive(self, base: Path) -> bytes:
        with base.open("rb", buffering=0) as opened:
            delta = _Delta(opened, _Bytes(self._stream.inflated()))
            return self._objects.write(base.suffix[1:], delta.size, delta.pieces())

    def _head(self) -> tuple[int, int]:
        byte = self._stream.byte()
        kind, size, shift = byte >> 4 & 7, byte & 15, 4
        while byte & _MORE and shift < _LONGEST_NUMBER:
            byte = self._stream.byte()
            size |= (byte & _SEVEN) << shift
            shift += 7
        return kind, size

    def _base(self, kind: int, offset: int) -> Base:
        if kind == _BY_ID:
            return self._stream.take(ID_BYTES)
        if kind != _BY_OFFSET:
            raise ArchiveError(f"the repository's pack is broken: an object is of kind {kind}")
        byte = self._stream.byte()
        back = byte & _SEVEN
        while byte & _MORE and back < offset:
            byte = self._stream.byte()
            back = (back + 1 << 7) | byte & _SEVEN
        return offset - back


class _Stream:
    """The bytes of a pack, and what is deflated in it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._held = b""
        self._from = 0  # where in the pack the held block begins
        self._index = 0

    @property
    def at(self) -> int:
        return self._from + self._index

    def seek(self, offset: int) -> None:
        self._source.seek(offset)
        self._held, self._from, self._index = b"", offset, 0

    def take(self, size: int) -> bytes:
        return bytes(self.byte() for _ in range(size))

    def byte(self) -> int:
        if self._index == len(self._held):
            self._advance()
        found = self._held[self._index]
        self._index += 1
        return found

    def inflated(self) -> Iterator[bytes]:
        """Inflate what begins here; afterwards the place is behind it."""
        machine = zlib.decompressobj()
        while not machine.eof:
            if self._index == len(self._held):
                self._advance()
            given = self._held[self._index :]
            piece = machine.decompress(given, _COPY)
            rest = len(machine.unconsumed_tail) or len(machine.unused_data)
            self._index = len(self._held) - rest
            yield piece

    def _advance(self) -> None:
        self._from += len(self._held)
        self._held, self._index = self._source.read(_BLOCK), 0
        if not self._held:
            raise ArchiveError("the repository's pack is broken: it ends too early")


class _Bytes:
    """Pieces, read byte by byte."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self._index = 0

    def is_over(self) -> bool:
        while self._index == len(self._held):
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._held, self._index = piece, 0
        return False

    def byte(self) -> int:
        if self.is_over():
            raise ArchiveError("the repository's pack is broken: a difference ends too early")
        found = self._held[self._index]
        self._index += 1
        return found

    def take(self, size: int) -> bytes:
        if len(self._held) - self._index >= size:
            self._index += size
            return self._held[self._index - size : self._index]
        return bytes(self.byte() for _ in range(size))


class _Delta:
    """How one object is made from another: parts of that one, and bytes of its own."""

    def __init__(self, base: IO[bytes], told: _Bytes) -> None:
        self._base = base.fileno()
        self._told = told
        if self._number() != os.fstat(self._base).st_size:
            raise ArchiveError("the repository's pack is broken: a difference is to another base")
        self.size = self._number()

    def pieces(self) -> Iterator[bytes]:
        while not self._told.is_over():
            order = self._told.byte()
            if order & _MORE:
                yield from self._copied(order)
            elif order:
                yield self._told.take(order)
            else:
                raise ArchiveError("the repository's pack is broken: a difference has order 0")

    def _copied(self, order: int) -> Iterator[bytes]:
        start = self._flagged(order, 4)
        left = self._flagged(order >> 4, 3) or 0x10000
        while left:
            piece = os.pread(self._base, min(left, _COPY), start)
            if not piece:
                raise ArchiveError("the repository's pack is broken: a difference leads too far")
            start += len(piece)
            left -= len(piece)
            yield piece

    def _flagged(self, flags: int, count: int) -> int:
        """Read a number of which only the bytes that the flags name are there."""
        byte: Callable[[], int] = self._told.byte
        return sum(byte() << 8 * index for index in range(count) if flags >> index & 1)

    def _number(self) -> int:
        byte = self._told.byte()
        number, shift = byte & _SEVEN, 7
        while byte & _MORE and shift < _LONGEST_NUMBER:
            byte = self._told.byte()
            number |= (byte & _SEVEN) << shift
            shift += 7
        return number
