"""The disk: trees of bytes named by their content, links to them, and notes. Callers: syncs.

```
 <store>/trees/<digest>/       one folder per content, never changed once it has its name
 <store>/sources/<fingerprint> the digest that an address with this listing had
 <store>/records/<model>       what the server was last seen to answer with (plans.Record)
 <store>/work/                 half downloads and rubbish; emptied at start
 <store>/boot                  the node's boot when this was written
 <models>/<model>              link to a tree, changed by one rename
```

A tree stays while a link, a record (loaded or previous) or a running task needs it. Nothing is
synced to disk: after a reboot of the node, which the `boot` file tells, every tree is read
again and dropped when its content does not have its name's digest any more.
"""

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from shoal.agent.plans import Held, Record, Version
from shoal.storage import transfers, trees

_LOG = logging.getLogger(__name__)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
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
        self._work = self._root / "work"
        self._reserved = 0

    def open(self) -> None:
        """Make the folders, and sweep what a killed agent left."""
        for folder in (self._models, self._trees, self._sources, self._records):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        for path in self._models.glob(f"{_TEMPORARY}*"):
            path.unlink()
        for path in self._records.glob(f"{_TEMPORARY}*"):
            path.unlink()
        for path in (self._root, self._trees, self._models):
            with contextlib.suppress(PermissionError):  # a volume's root may be somebody else's
                path.chmod(0o755)
        self._verify_after_reboot()

    def known(self) -> set[str]:
        """Name every model that a link of ours or a record is about."""
        links = {path.name for path in self._models.iterdir() if self._target(path)}
        return links | {path.name for path in self._records.iterdir()}

    def held(self, model: str) -> Held:
        """Look one model up; the server is not asked here."""
        link = self._target(self._models / model)
        record = self.record(model)
        versions = (record.loaded, record.previous) if record else ()
        named = {link, *(version.tree for version in versions if version)} - {""}
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
        temporary = self._records / f"{_TEMPORARY}{model}"
        temporary.write_text(json.dumps(body))
        temporary.rename(self._records / model)

    def forget(self, model: str) -> None:
        """Remove a model's note."""
        (self._records / model).unlink(missing_ok=True)

    def link(self, model: str, tree: str) -> None:
        """Lead a model's folder to a tree, by one rename.

        Raises:
            OSError: something that is not ours is in the way.
        """
        path = self._models / model
        if os.path.lexists(path) and not self._target(path):
            raise FileExistsError(f"{path} is in the way: it is no link that Shoal made")
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

    def room(self) -> int:
        """Bytes that a download may take, beside those that run."""
        return max(0, shutil.disk_usage(self._root).free - _RESERVE - self._reserved)

    @contextlib.contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Keep others from counting on the same bytes."""
        self._reserved += size
        try:
            yield
        finally:
            self._reserved -= size

    def workplace(self) -> Path:
        """Make an empty folder to download into."""
        return Path(tempfile.mkdtemp(dir=self._work))

    def seal(self, work: Path) -> str:
        """Finish a download in a worker thread: open it to readers, and name its content."""
        tree = work / transfers.TREE
        trees.open_up(tree)
        return trees.digest(tree)

    def adopt(self, work: Path, digest: str, fingerprint: str) -> None:
        """Give a sealed download its name; bytes that are held already are not kept twice."""
        final = self._trees / digest
        if not final.is_dir():
            (work / transfers.TREE).rename(final)
        if fingerprint:
            temporary = work / "source"
            temporary.write_text(digest)
            temporary.rename(self._sources / fingerprint)

    def discard(self, work: Path) -> None:
        """Remove a workplace, in a worker thread."""
        shutil.rmtree(work, ignore_errors=True)

    def sweep(self, needed: Iterable[str]) -> list[Path]:
        """Move trees that nobody needs away; the caller discards the folders returned."""
        keep = set(needed)
        for model in self.known():
            held = self.held(model)
            keep |= held.trees
        swept = []
        for path in self._trees.iterdir():
            if path.name not in keep:
                rubbish = self.workplace()
                path.rename(rubbish / path.name)
                swept.append(rubbish)
        if swept:
            self._forget_sources()
        return swept

    def _forget_sources(self) -> None:
        for path in self._sources.iterdir():
            if not (self._trees / path.read_text()).is_dir():
                path.unlink()

    def _target(self, path: Path) -> str:
        try:
            target = path.readlink()
        except OSError:
            return ""
        return target.name if target.parent == self._trees else ""

    def _verify_after_reboot(self) -> None:
        boot = _BOOT_ID.read_text() if _BOOT_ID.exists() else ""
        note = self._root / "boot"
        if note.exists() and note.read_text() != boot:
            for path in self._trees.iterdir():
                if trees.digest(path) != path.name:
                    _LOG.warning("dropped the bytes of %s: damaged by a reboot", path.name)
                    shutil.rmtree(path, ignore_errors=True)
        note.write_text(boot)


def _version(body: object) -> Version | None:
    if not isinstance(body, list):
        return None
    digest, tree = body
    return Version(str(digest), str(tree))


def _pair(version: Version | None) -> list[str] | None:
    return [version.digest, version.tree] if version else None
