"""A download on disk that the next try can go on with: which bytes are there, and their sha256.

```
 <work>/journal   one line for each piece, written after its bytes: path, start, end
 <work>/…         the files, written in pieces and in any order
```

The process may be killed at any line: bytes that the journal does not name are fetched again.
Nothing is synced, so after a reboot of the node the folder must not be believed. Files are opened
anew for each piece: a thread that outlives its cancelled task cannot write into somebody else's.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

JOURNAL = "journal"
_BLOCK = 1024 * 1024
_CLEARED = (-1, -1)

Span = tuple[int, int]


class Partial:
    """One download's folder; `is_summed` tells that its files are summed up on the way."""

    def __init__(self, work: Path, *, is_summed: bool = True) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.is_summed = is_summed
        self._work = work
        self._spans = _read(work / JOURNAL)
        self._lock = threading.Lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._journal: int | None = os.open(work / JOURNAL, flags, 0o600)
        os.write(self._journal, b"\n")  # a killed process may have left half a line

    def file(self, path: str, size: int) -> "File":
        """Open one file, `path` below the folder, of `size` bytes; 0 when that is not known."""
        spans = self._spans.pop(path, [])
        file = File(self, path, size, spans)
        if spans and (not file.target.is_file() or spans[-1][1] > size):
            file.clear()
        return file

    def target(self, path: str) -> Path:
        """Tell where a file is."""
        return self._work / path

    def note(self, path: str, span: Span) -> None:
        """Write down that these bytes are there; after `close` nothing is written any more."""
        line = json.dumps([path, *span]).encode() + b"\n"
        with self._lock:
            if self._journal is not None:
                os.write(self._journal, line)

    def close(self) -> None:
        """Let go of the journal."""
        with self._lock:
            if self._journal is not None:
                os.close(self._journal)
            self._journal = None


class File:
    """One file of a download, at `target`; its sha256 follows the pieces that are whole."""

    def __init__(self, partial: Partial, path: str, size: int, spans: list[Span]) -> None:
        self.path = path
        self.size = size
        self.target = partial.target(path)
        self._partial = partial
        self._spans = spans
        self._lock = threading.Lock()  # of the spans
        self._turn = threading.Lock()  # of the sum: one thread at a time, the others go on
        self._sum = hashlib.sha256()
        self._summed = 0

    @property
    def written(self) -> int:
        """How many of its bytes are there."""
        return sum(end - start for start, end in self._spans)

    def missing(self, part: Callable[[], int]) -> Iterator[Span]:
        """Name what is to be fetched, in pieces of at most `part` bytes at that time."""
        at = 0
        for start, end in [*self._spans, (self.size, self.size)]:
            while at < start:
                upto = min(at + part(), start)
                yield at, upto
                at = upto
            at = end

    def write(self, start: int, body: bytes | memoryview) -> None:
        """Write a piece, in a worker thread."""
        view = memoryview(body)
        opened = self._open()
        try:
            done = 0
            while done < len(view):
                done += os.pwrite(opened, view[done:], start + done)
        finally:
            os.close(opened)
        self._partial.note(self.path, (start, start + len(view)))
        with self._lock:
            self._spans = _merged([*self._spans, (start, start + len(view))])
        if self._partial.is_summed and self._turn.acquire(blocking=False):
            try:
                self._follow(start, view)
            finally:
                self._turn.release()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
        try:
            return os.open(self.target, flags, 0o644)
        except FileNotFoundError:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.target, flags, 0o644)

    def sha256(self) -> str:
        """Finish the sum of a file that is whole, in a worker thread."""
        with self._turn:
            self._follow(0, memoryview(b""))
            return self._sum.hexdigest()

    def clear(self) -> None:
        """Begin anew."""
        self._partial.note(self.path, _CLEARED)
        self.target.unlink(missing_ok=True)
        self._spans = []
        self._sum, self._summed = hashlib.sha256(), 0

    def _follow(self, start: int, view: memoryview) -> None:
        if start == self._summed:
            self._sum.update(view)
            self._summed += len(view)
        end = self._reach()
        if self._summed >= end:
            return
        # No buffer: it would hold bytes of a hole that is filled meanwhile.
        with self.target.open("rb", buffering=0) as opened:
            opened.seek(self._summed)
            while self._summed < end:
                block = opened.read(min(_BLOCK, end - self._summed))
                if not block:
                    raise OSError(f"{self.path} is shorter than what was written to it")
                self._sum.update(block)
                self._summed += len(block)
                end = self._reach()

    def _reach(self) -> int:
        """Tell up to where there is no hole."""
        with self._lock:
            return next((end for start, end in self._spans if start == 0), 0)


def written(work: Path) -> int:
    """Count the bytes that a folder's journal names."""
    return sum(end - start for spans in _read(work / JOURNAL).values() for start, end in spans)


def _read(journal: Path) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    try:
        lines = journal.read_bytes().splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            path, *span = json.loads(line)
        except ValueError:  # half a line of a killed process
            continue
        if tuple(span) == _CLEARED:
            found.pop(path, None)
        else:
            found.setdefault(path, []).append((span[0], span[1]))
    return {path: _merged(spans) for path, spans in found.items()}


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
