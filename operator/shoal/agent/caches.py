"""A folder on a volume that pods share, with models that one of them fetched for all.

```
 <cache>/trees/<digest>[-n]/      a model's files; never changed once they have this name
 <cache>/sources/<fingerprint>    the tree that an address with this listing had, with its files
 <cache>/locks/<address>          locked by who fetches from an address, and who that is
 <cache>/partial/<address>/<fingerprint>-<whose>/   a half download
```

A tree gets its name by one rename, after its bytes are on the disk, and its source is written
after that: who finds a source and all files that it lists needs no lock. Fetching needs one, by
`flock`, which the kernel lets go when its holder ends, however that is. A tree that lacks files
is neither used nor mended: pods may read what is left of it, so another one is made beside it.

Half downloads are of one kernel and user alone: within one kernel the lock holds on every file
system, and bytes that a node has not synced are there for it. So where a volume's locks do not
reach other nodes, a model is fetched once on each node, and nothing breaks (docs/adr/0012).

Nothing but half downloads is ever removed. Runs in worker threads. Caller: deliveries.
"""

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shoal.agent import boots, sizes
from shoal.agent.partials import Partials
from shoal.reasons import Reason
from shoal.storage import failures, partials, transfers, trees
from shoal.storage.failures import FetchError, Kind
from shoal.storage.jobs import Sums

_NAME_LENGTH = 32
_OTHERS = 0o775  # who shares a volume's group may write; all may read
_SYNCS = 8  # at once
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}

Wait = Callable[[str], Awaitable[object]]
"""Told who fetches, each time before the lock is tried again; paces the tries."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The folder, and what it is called in messages."""

    root: Path
    name: str

    def find(self, fingerprint: str) -> Path | None:
        """Find the tree of this content; None where there is none, or where files of it lack."""
        try:
            source = json.loads((self.root / "sources" / fingerprint).read_text())
            name, files = Path(source["tree"]).name, dict(source["files"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        tree = self.root / "trees" / name
        return tree if _has(tree, files) else None

    @asynccontextmanager
    async def turn(self, address: str, wait: Wait) -> AsyncIterator["Slot"]:
        """Wait until nobody else fetches from this address; let others wait meanwhile.

        Raises:
            FetchError: the volume has no locks.
            OSError: it cannot be written.
        """
        name = hashlib.sha256(address.encode()).hexdigest()[:_NAME_LENGTH]
        path = _made(self.root / "locks") / name
        lock = _opened(path)
        try:
            while not await asyncio.to_thread(self._locked, lock):
                await wait(_holder(path))
            os.ftruncate(lock, 0)
            os.pwrite(lock, platform.node().encode(), 0)
            yield Slot(self, _made(_made(self.root / "partial") / name))
        finally:
            os.close(lock)

    def _locked(self, lock: int) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            message = (
                f"{self.name}: files cannot be locked there: {error.strerror}; use a volume that "
                "has locks, such as NFS 4"
            )
            raise FetchError(Kind.PERMANENT, Reason.DOWNLOAD_FAILED, message) from error
        return True

    def coming(self, fingerprint: str) -> int:
        """Count the bytes of a half download, whoever makes it."""
        found = (self.root / "partial").glob(f"*/{fingerprint}-*")
        return max(map(partials.written, found), default=0)

    def room(self) -> int:
        """Count the bytes that the volume has free."""
        return sizes.free(self.root)

    def failure(self, shown: str, error: OSError) -> FetchError:
        """Say why the cache cannot be written to."""
        made = failures.of_disk(f"{shown}: {self.name}", error, self.room())
        if error.errno not in {errno.EACCES, errno.EPERM}:
            return made
        message = (
            f"{made.message}; let user {os.getuid()} write there, such as by "
            "spec.predictor.securityContext.fsGroup"
        )
        return FetchError(Kind.PERMANENT, made.reason, message)


@dataclass(frozen=True, slots=True)
class Slot:
    """The cache for who fetches from one address, and what is half there from it."""

    cache: Cache
    folder: Path

    @property
    def disk(self) -> str:
        """What it is called where it is full."""
        return self.cache.name

    def room(self) -> int:
        """Count the bytes that the volume has free."""
        return self.cache.room()

    def work(self, fingerprint: str) -> Path:
        """Find or make the folder of a download; what nobody goes on with any more goes."""
        found = Partials(self.folder)
        work = found.folder(f"{fingerprint}-{_whose()}")
        work.mkdir(exist_ok=True)
        own = {path for path in found.idle(0) if path.name.endswith(_whose())}
        for dead in {*own, *found.idle()} - {work}:
            shutil.rmtree(dead, ignore_errors=True)
        return work

    def forget(self) -> None:
        """Drop the half download."""
        for path in self.folder.glob(f"*-{_whose()}"):
            shutil.rmtree(path, ignore_errors=True)

    def publish(self, work: Path, fingerprint: str, sums: Sums, about: dict[str, str]) -> Path:
        """Give a whole download its name, for all; return where it is.

        `about` is what a person may want to know of the source.
        """
        tree = work / transfers.TREE
        with suppress(PermissionError):  # some volumes have modes of their own
            trees.open_up(tree)
        files = trees.sizes(tree)
        _sync_all(tree, files)
        place = self._settled(tree, trees.digest(tree, sums), files)
        source = {**about, "tree": place.name, "bytes": sum(files.values()), "files": files}
        fresh = work / "source"
        fresh.write_text(json.dumps(source))
        with suppress(PermissionError):
            fresh.chmod(0o644)  # whatever the process's mask is
        _sync(fresh)
        sources = _made(self.cache.root / "sources")
        fresh.replace(sources / fingerprint)
        _sync_folder(sources)
        self.forget()
        return place

    def _settled(self, tree: Path, digest: str, files: dict[str, int]) -> Path:
        """Move it to where nothing else is, or find the same content there."""
        folder = _made(self.cache.root / "trees")
        place, number = folder / digest, 0
        while not _moved(tree, place) and not _has(place, files):
            number += 1
            place = folder / f"{digest}-{number}"
        _sync_folder(folder)
        return place


def _whose() -> str:
    """Name the kernel and the user; without a boot's name, the pod."""
    text = f"{boots.read() or platform.node()} {os.getuid()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _moved(tree: Path, place: Path) -> bool:
    """Move a tree; False where another one is."""
    try:
        tree.rename(place)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _has(tree: Path, files: dict[str, int]) -> bool:
    return tree.is_dir() and files.items() <= trees.sizes(tree).items()


def _made(folder: Path) -> Path:
    """Make a folder that others may write to as well."""
    folder.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & _OTHERS != _OTHERS:
        with suppress(PermissionError):  # somebody else made it
            folder.chmod(mode | _OTHERS)
    return folder


def _opened(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    with suppress(PermissionError):
        os.fchmod(lock, 0o664)
    return lock


def _holder(path: Path) -> str:
    """Read who has a lock; "" where its file cannot be read meanwhile, as over SMB."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _sync_all(tree: Path, files: Iterable[str]) -> None:
    """Have every byte of it on the disk, before its name says so."""
    with ThreadPoolExecutor(_SYNCS) as pool:
        list(pool.map(_sync, (tree / path for path in files)))
    for folder, _, _ in os.walk(tree):
        _sync_folder(Path(folder))


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems sync no folders
        _sync(folder)
