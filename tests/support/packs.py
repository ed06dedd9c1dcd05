"""Packs of git made by hand, also those that no git would make."""

import hashlib
import struct
import zlib
from dataclasses import dataclass, field

COMMIT, TREE, BLOB, TAG, BY_OFFSET, BY_ID = 1, 2, 3, 4, 6, 7
_NAMES = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}
FILE, FOLDER, LINK, SUBMODULE = "100644", "40000", "120000", "160000"


def name(kind: int, content: bytes) -> bytes:
    """Name an object."""
    head = f"{_NAMES[kind]} {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).digest()


def tree(*rows: tuple[str, bytes | str, bytes]) -> bytes:
    """Make the list of a folder: mode, name and object of each entry."""
    texts = [row[1] if isinstance(row[1], bytes) else row[1].encode() for row in rows]
    return b"".join(
        row[0].encode() + b" " + text + b"\0" + row[2]
        for row, text in zip(rows, texts, strict=True)
    )


def delta(base: bytes, made: bytes, *orders: bytes) -> bytes:
    """Make a difference out of `copy` and `insert`."""
    return _number(len(base)) + _number(len(made)) + b"".join(orders)


def copy(start: int, size: int) -> bytes:
    """Take a part of the base."""
    return b"\xff" + struct.pack("<I", start) + struct.pack("<I", size)[:3]


def insert(text: bytes) -> bytes:
    """Add bytes, at most 127."""
    return bytes([len(text)]) + text


def _number(size: int) -> bytes:
    rows = []
    while size > 0x7F:
        rows.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*rows, size])


def _head(kind: int, size: int) -> bytes:
    first, size = size & 15, size >> 4
    if not size:
        return bytes([kind << 4 | first])
    return bytes([0x80 | kind << 4 | first]) + _number(size)


@dataclass
class Pack:
    """A pack in the making."""

    body: bytes = b""
    count: int = 0
    offsets: list[int] = field(default_factory=list)

    def add(self, kind: int, content: bytes) -> bytes:
        """Add an object; return its name."""
        self.put(kind, len(content), b"", content)
        return name(kind, content)

    def differ(self, base: bytes | int, told: bytes) -> None:
        """Add a difference to an object by its name, or so many bytes back in the pack."""
        if isinstance(base, bytes):
            self.put(BY_ID, len(told), base, told)
            return
        rows, back = [base & 0x7F], base >> 7
        while back:
            back -= 1
            rows.append(back & 0x7F | 0x80)
            back >>= 7
        self.put(BY_OFFSET, len(told), bytes(reversed(rows)), told)

    def back(self, index: int) -> int:
        """Tell how many bytes back an object is from the next one."""
        return 12 + len(self.body) - self.offsets[index]

    def commit(self, root: bytes) -> str:
        """Add a commit of a folder; return its name as text."""
        return self.add(COMMIT, b"tree " + root.hex().encode() + b"\nauthor A\n\nx\n").hex()

    def made(self) -> bytes:
        """Make the whole."""
        whole = b"PACK" + struct.pack(">II", 2, self.count) + self.body
        return whole + hashlib.sha1(whole, usedforsecurity=False).digest()

    def put(self, kind: int, size: int, base: bytes, content: bytes) -> None:
        """Add anything."""
        self.offsets.append(12 + len(self.body))
        self.body += _head(kind, size) + base + zlib.compress(content)
        self.count += 1
