"""The disk: trees of bytes named by their content, links to them, and notes. Callers: syncs.

```
 <store>/trees/<digest>/       one folder per content, never changed once it has its name; only
                               its folders' times are, when a link begins to lead to it
 <store>/sources/<fingerprint> the digest that an address with this listing had
 <store>/records/<model>       what the server was last seen to answer with (plans.Record)
 <store>/uses/<digest>         empty; its time is when that tree was last in use
 <store>/partial/<fingerprint> half downloads that the next try goes on with (partials)
 <store>/work/                 other half downloads and rubbish; emptied at start
 <store>/boot                  the node's boot when this was written
 <models>/<model>              link to a tree, changed by one rename
```

A tree is needed while a link, a record's `loaded` or a running task names it; others stay until
somebody needs the room (spaces). Nothing is synced to disk: after a reboot of the node, which
the `boot` file tells, every tree is read again and dropped when its content does not have its
name's digest any more.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from shoal.agent import boots, sizes
from shoal.agent.partials import AWAITED_SECONDS, Partials
from shoal.agent.plans import Held, Record, Version
from shoal.storage import transfers, trees

_LOG = logging.getLogger(__name__)
_RESERVE = 16 * 1024 * 1024  # left free for the notes, and for who else uses the disk
_TEMPORARY = ".shoal-"


class Store:
    """One agent's disk."""

    def __init__(self, models: str, store: str) -> None:
        self._models = Path(models)
        self._root = Path(store)
        self._trees = self._root / "trees"
        self._sources = self._root / "sources"
        self._records = self._root / "records"
        self._uses = self._root / "uses"
        self._work = self._root / "work"
        self.partials = Partials(self._root / "partial")
        self._pins: dict[str, str] = {}
        self._sizes: dict[str, int] = {}  # of the trees, measured once
        self._rubbish = 0

    def open(self) -> None:
        """Make the folders, and sweep what a killed agent left."""
        for folder in (self._models, self._trees, self._sources, self._records, self._uses):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(exist_ok=True)
        self.partials.open()
        for path in self._models.glob(f"{_TEMPORARY}*"):
            path.unlink()
        for path in self._records.glob(f"{_TEMPORARY}*"):
            path.unlink()
        for path in (self._root, self._trees, self._models):
            with contextlib.suppress(PermissionError):  # a volume's root may be somebody else's
                path.chmod(0o755)
        self._verify_after_reboot()
        self._sizes = {path.name: sizes.measure(path) for path in self._trees.iterdir()}
        self._forget_lost()

    def known(self) -> set[str]:
        """Name every model that a link of ours or a record is about."""
        links = {path.name for path in self._models.iterdir() if self._target(path)}
        return links | {path.name for path in self._records.iterdir()}

    def held(self, model: str) -> Held:
        """Look one model up; the server is not asked here."""
        link = self._target(self._models / model)
        record = self.record(model)
        named = {link, *_trees(record)} - {""}
        there = frozenset(tree for tree in named if (self._trees / tree).is_dir())
        return Held(link=link, record=record, trees=there)

    def record(self, model: str) -> Record | None:
        """Read a model's note; an unreadable one is none."""
        try:
            body = json.loads((self._records / model).read_text())
            return Record(_version(body["loaded"]), _version(body["previous"]), body["sure"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, model: str, record: Record) -> None:
        """Write a model's note, at once and whole."""
        body = {
            "loaded": _pair(record.loaded),
            "previous": _pair(record.previous),
            "sure": record.sure,
        }
        self._use(*_trees(record))
        temporary = self._records / f"{_TEMPORARY}{model}"
        temporary.write_text(json.dumps(body))
        temporary.rename(self._records / model)

    def forget(self, model: str) -> None:
        """Remove a model's note; its trees were in use until now."""
        self._use(*_trees(self.record(model)))
        (self._records / model).unlink(missing_ok=True)

    def link(self, model: str, tree: str) -> None:
        """Lead a model's folder to a tree, by one rename.

        Raises:
            OSError: something that is not ours is in the way.
        """
        path = self._models / model
        if os.path.lexists(path) and not self._target(path):
            raise FileExistsError(f"{path} is in the way: it is no link that Shoal made")
        # Triton answers 200 and goes on with the old bytes when the new folders look older.
        trees.touch(self._trees / tree, max(time.time_ns(), _time(path) + 1))
        temporary = self._models / f"{_TEMPORARY}{model}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(self._trees / tree)
        temporary.rename(path)

    def unlink(self, model: str) -> None:
        """Remove a model's link, if it is one of ours."""
        path = self._models / model
        if self._target(path):
            path.unlink(missing_ok=True)

    def source(self, fingerprint: str) -> str:
        """Find the tree that this listing had; "" when its bytes are not held."""
        if not fingerprint:
            return ""
        with contextlib.suppress(OSError):
            tree = (self._sources / fingerprint).read_text()
            if tree and (self._trees / tree).is_dir():
                return tree
        return ""

    def pin(self, model: str, tree: str) -> bool:
        """Keep a tree for a running task of this model, until `unpin`; False if it is not held."""
        self._pins[model] = tree
        self._use(tree)
        return (self._trees / tree).is_dir()

    def unpin(self, model: str) -> None:
        """Let go of what was kept for this model's task."""
        self._pins.pop(model, None)

    def free(self) -> tuple[int, int]:
        """Bytes that are free on the disk, and all that it has."""
        usage = shutil.disk_usage(self._root)
        return max(0, usage.free - _RESERVE), usage.total

    def used(self) -> int:
        """Bytes of all trees, of rubbish that is still being removed, and of idle partials."""
        idle = sum(size for _, _, size in self.partials.sizes())
        return sum(self._sizes.values()) + self._rubbish + idle

    def unneeded(self) -> list[tuple[str, int]]:
        """Trees and half downloads that no model needs, least recently used first."""
        needed = self._needed()
        found = [
            (sizes.time(self._uses / name), name, size)
            for name, size in self._sizes.items()
            if name not in needed
        ]
        return [(name, size) for _, name, size in sorted([*found, *self.partials.sizes()])]

    def stale(self) -> list[str]:
        """Half downloads that nobody went on with for long."""
        return [path.name for path in self.partials.idle()]

    def awaited(self) -> set[str]:
        """Half downloads that broke off a moment ago."""
        fresh = set(self.partials.idle(0)) - set(self.partials.idle(AWAITED_SECONDS))
        return {path.name for path in fresh}

    async def drop(self, names: Sequence[str]) -> None:
        """Remove some, all out of sight at once; their bytes count until they are gone."""
        rubbish = self.workplace()
        size = 0
        try:
            for name in names:
                place = self._trees / name
                (place if place.is_dir() else self.partials.folder(name)).rename(rubbish / name)
                gone = self._sizes.pop(name, 0)
                self._rubbish += gone
                size += gone
            self._forget_lost()
            await asyncio.to_thread(self.discard, rubbish)
        finally:
            self._rubbish -= size

    def workplace(self) -> Path:
        """Make an empty folder to download into."""
        return Path(tempfile.mkdtemp(dir=self._work))

    def seal(self, work: Path, sums: Mapping[str, str]) -> tuple[str, int]:
        """Finish a download in a worker thread: open it to readers, name and measure its content.

        `sums` are the sha256 of files that were summed up on the way.
        """
        tree = work / transfers.TREE
        trees.open_up(tree)
        return trees.digest(tree, sums), sizes.measure(tree)

    def adopt(self, work: Path, digest: str, size: int, fingerprint: str) -> None:
        """Give a sealed download its name; bytes that are held already are not kept twice."""
        final = self._trees / digest
        if not final.is_dir():
            (work / transfers.TREE).rename(final)
            self._sizes[digest] = size
        self._use(digest)
        if fingerprint:
            temporary = work / "source"
            temporary.write_text(digest)
            temporary.rename(self._sources / fingerprint)

    def scrap(self, work: Path) -> Path:
        """Take a download's folder out of sight, at once; return what to `discard`."""
        rubbish = self._work / f"{work.name}-{time.monotonic_ns()}"
        with contextlib.suppress(OSError):  # what cannot be moved stays, and counts
            work.rename(rubbish)
        return rubbish

    def discard(self, work: Path) -> None:
        """Remove rubbish, in a worker thread."""
        shutil.rmtree(work, ignore_errors=True)

    def _needed(self) -> set[str]:
        needed = set(self._pins.values())
        for model in self.known():
            record = self.record(model)
            needed.add(self._target(self._models / model))
            if record and record.loaded:
                needed.add(record.loaded.tree)
        return needed

    def _use(self, *trees_used: str) -> None:
        for tree in trees_used:
            if tree in self._sizes:
                (self._uses / tree).touch()

    def _forget_lost(self) -> None:
        """Remove what is noted of trees that are not held any more."""
        for path in self._sources.iterdir():
            if not (self._trees / path.read_text()).is_dir():
                path.unlink()
        for path in self._uses.iterdir():
            if path.name not in self._sizes:
                path.unlink()

    def _target(self, path: Path) -> str:
        try:
            target = path.readlink()
        except OSError:
            return ""
        return target.name if target.parent == self._trees else ""

    def _verify_after_reboot(self) -> None:
        boot = boots.read()
        note = self._root / "boot"
        if note.exists() and note.read_text() != boot:
            for path in self.partials.idle(0):  # their bytes may never have reached the disk
                shutil.rmtree(path, ignore_errors=True)
            for path in self._trees.iterdir():
                if trees.digest(path) != path.name:
                    _LOG.warning("dropped the bytes of %s: damaged by a reboot", path.name)
                    shutil.rmtree(path, ignore_errors=True)
        note.write_text(boot)


def _time(path: Path) -> int:
    """Read the time of where a link leads to, in nanoseconds; 0 for nowhere."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _trees(record: Record | None) -> list[str]:
    versions = (record.loaded, record.previous) if record else ()
    return [version.tree for version in versions if version]


def _version(body: object) -> Version | None:
    if not isinstance(body, list):
        return None
    digest, tree = body
    return Version(str(digest), str(tree))


def _pair(version: Version | None) -> list[str] | None:
    return [version.digest, version.tree] if version else None
