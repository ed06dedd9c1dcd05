"""Where one model is to lie: whole, or the half of it that a killed process left.

```
 <folder>/…                       the model's files
 <folder>/.shoal-fetched          their content's fingerprint, and each with its size and time
 <folder>/.shoal-partial/boot     the node's boot when the download began
 <folder>/.shoal-partial/<name>/  the half of it; `storage.partials` says what is in there
```

The process may be killed at any line: without a fingerprint the note tells only which files are
ours, and they are brought again. Runs in worker threads. Caller: deliveries.
"""

import contextlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shoal.agent import boots, sizes
from shoal.storage import transfers, trees

NOTE = ".shoal-fetched"
PARTIAL = ".shoal-partial"
_BOOT = "boot"
_UNNAMED = "unnamed"  # content that has no fingerprint, and so nothing that can be gone on with

Stamp = list[int]  # size and time of a file


@dataclass(frozen=True)
class _Note:
    fingerprint: str = ""
    boot: str = ""
    files: dict[str, Stamp] = field(default_factory=dict)


class Destination:
    """One folder; what others have put into it stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._partial = folder / PARTIAL

    def holds(self, fingerprint: str) -> bool:
        """Tell whether this content is here, untouched, and written since the node's boot."""
        note = self._read()
        return (
            bool(fingerprint)
            and (note.fingerprint, note.boot) == (fingerprint, boots.read())
            and all(_stamp(self.folder / path) == stamp for path, stamp in note.files.items())
        )

    def work(self, fingerprint: str) -> Path:
        """Find or make the folder of a download; what is left of another one goes."""
        boot, note = boots.read(), self._partial / _BOOT
        if not note.exists() or note.read_text() != boot:
            self.forget()
        self._partial.mkdir(parents=True, exist_ok=True)
        note.write_text(boot)
        work = self._partial / (fingerprint or _UNNAMED)
        for other in self._partial.iterdir():
            if other != note and (other != work or not fingerprint):
                shutil.rmtree(other)
        work.mkdir(exist_ok=True)
        return work

    def forget(self) -> None:
        """Drop a half download."""
        shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def disk(self) -> str:
        """What it is called where it is full."""
        return f"the disk of {self.folder}"

    def room(self) -> int:
        """Count the bytes that the disk has free."""
        return sizes.free(self.folder)

    def link(self, tree: Path, fingerprint: str) -> None:
        """Lead to what is in a tree elsewhere, in place of what was brought before."""
        self.forget()  # of a download that was to come here
        work = self.work(fingerprint)
        links = work / transfers.TREE
        links.mkdir()
        for path in tree.iterdir():
            (links / path.name).symlink_to(path)
        self.adopt(work, fingerprint)

    def adopt(self, work: Path, fingerprint: str) -> None:
        """Move a whole download here, in place of what was brought before."""
        tree = work / transfers.TREE
        trees.open_up(tree)
        old, new = self._read().files, _stamps(tree)
        self._write(_Note(files=old | new))
        for path in old:
            self._remove(path)
        for folder, _, _ in os.walk(tree):
            (self.folder / Path(folder).relative_to(tree)).mkdir(exist_ok=True)
        for file in trees.files(tree):
            file.replace(self.folder / file.relative_to(tree))
        self._write(_Note(fingerprint, boots.read(), new))
        self.forget()

    def _remove(self, path: str) -> None:
        """Remove a file, and the folders that it leaves empty."""
        (self.folder / path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            for parent in Path(path).parents[:-1]:
                (self.folder / parent).rmdir()

    def _read(self) -> _Note:
        try:
            return _Note(**json.loads((self.folder / NOTE).read_text()))
        except (OSError, ValueError, TypeError):
            return _Note()

    def _write(self, note: _Note) -> None:
        fresh = self._partial / NOTE
        fresh.write_text(json.dumps(asdict(note)))
        fresh.replace(self.folder / NOTE)


def _stamps(tree: Path) -> dict[str, Stamp]:
    return {path.relative_to(tree).as_posix(): _stamp(path) for path in trees.files(tree)}


def _stamp(path: Path) -> Stamp:
    """Read size and time of a file; nothing where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
