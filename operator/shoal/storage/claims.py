"""Models on volumes of the pod: `pvc://CLAIM/PATH`. Caller: transfers.

The operator mounts the claims that the predictor's spec has into the agent too, read-only. Their
files are copied, not linked: whoever writes to the claim would otherwise change what a model
serves under the word Ready. Links are followed within the claim only, because the agent can read
what the model server must not, such as its token.
"""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from pathlib import Path

from shoal import names
from shoal.reasons import Reason
from shoal.storage.buckets import Found, Item
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from shoal.storage.uris import Location

_CHUNK = 1024 * 1024
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not hold anybody up
_FILE_SYSTEM_S_OWN = "lost+found"  # and root's: nobody else may look into it


def root(location: Location, folder: str) -> Path:
    """Find where a claim is mounted; `folder` is where all are.

    Raises:
        FetchError: it is not; the message says what to add.
    """
    claim = location.bucket
    mounted = Path(folder or names.CLAIM_DIR, claim)
    if mounted.is_dir():
        return mounted
    message = (
        f"{location.shown}: the claim is not mounted in this pod; add it to "
        f"spec.predictor.volumes of the InferenceService: "
        f"{{name: {claim}, persistentVolumeClaim: {{claimName: {claim}, readOnly: true}}}}"
    )
    raise FetchError(Kind.PERMANENT, Reason.CLAIM_NOT_MOUNTED, message)


def find(mounted: Path, location: Location, limits: Limits) -> Found:
    """Look an address up, in a worker thread.

    Raises:
        FetchError: nothing is there, too much, it cannot be read, or it leads out of the claim.
    """
    top = mounted / location.key.rstrip("/")
    reader = partial(_read, mounted, location)
    items: list[Item] = []
    try:
        real = _inside(mounted, top, location)
        found = real.stat()
        if stat.S_ISREG(found.st_mode):
            item = _item(mounted, top, top.name, found)
            return Found("", (item,), is_single=True, read=reader)
        for item in _below(mounted, top, location, ()):
            items.append(item)
            limits.accept_files(location.shown, len(items))
    except FileNotFoundError as error:
        message = f"{location.shown}: there is no such file or folder on the claim"
        raise FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message) from error
    except OSError as error:
        raise _unreadable(location, error) from error
    if not items:
        message = f"{location.shown}: there is no file in it"
        raise FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)
    return Found("", tuple(items), is_single=False, read=reader)


async def _read(
    mounted: Path, location: Location, item: Item, span: tuple[int, int]
) -> AsyncGenerator[bytes, None]:
    """Read the bytes `span` of a file, if it is still the one that was found."""
    try:
        opened = await asyncio.to_thread(_open, mounted, location, item)
        try:
            at, end = span
            while at < end:
                chunk = await asyncio.to_thread(os.pread, opened, min(_CHUNK, end - at), at)
                if not chunk:
                    break
                yield chunk
                at += len(chunk)
            _unchanged(location, item, os.fstat(opened))
        finally:
            os.close(opened)
    except OSError as error:
        raise _unreadable(location, error) from error


def _open(mounted: Path, location: Location, item: Item) -> int:
    opened = os.open(mounted / item.key, _OPEN)
    try:
        # Asked of what is open: the path may lead elsewhere by now.
        _inside(mounted, Path(f"/proc/self/fd/{opened}"), location)
        _unchanged(location, item, os.fstat(opened))
    except BaseException:  # whatever ends this, the file would stay open
        os.close(opened)
        raise
    return opened


def _below(
    mounted: Path, folder: Path, location: Location, above: tuple[Path, ...]
) -> Iterator[Item]:
    real = _inside(mounted, folder, location)
    if real in above:
        raise _bad(location, f"{folder.relative_to(mounted)} links to a folder that it is in")
    top = mounted / location.key.rstrip("/")
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = folder / entry.name
        if entry.name == _FILE_SYSTEM_S_OWN and folder == mounted:
            continue
        found = _inside(mounted, path, location).stat()
        if stat.S_ISDIR(found.st_mode):
            yield from _below(mounted, path, location, (*above, real))
        elif stat.S_ISREG(found.st_mode):
            yield _item(mounted, path, path.relative_to(top).as_posix(), found)
        else:
            raise _bad(location, f"{path.relative_to(mounted)} is neither a file nor a folder")


def _inside(mounted: Path, path: Path, location: Location) -> Path:
    real = path.resolve(strict=True)
    if real.is_relative_to(mounted.resolve()):
        return real
    name = path.relative_to(mounted) if path.is_relative_to(mounted) else path.name
    raise _bad(location, f"{name} links out of the claim")


def _item(mounted: Path, path: Path, name: str, found: os.stat_result) -> Item:
    key = path.relative_to(mounted).as_posix()
    return Item(key, name, found.st_size, _version(found), etag="")


def _version(found: os.stat_result) -> str:
    # The second of them moves also where a copying program restores the first.
    return f"{found.st_mtime_ns} {found.st_ctime_ns}"


def _unchanged(location: Location, item: Item, found: os.stat_result) -> None:
    if (item.size, item.version) != (found.st_size, _version(found)):
        message = f"{location.shown}: {item.path} changed while it was copied"
        raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)


def _bad(location: Location, what: str) -> FetchError:
    return FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, f"{location.shown}: {what}")


def _unreadable(location: Location, error: OSError) -> FetchError:
    message = f"{location.shown}: cannot be read: {error.strerror or error}"
    if isinstance(error, PermissionError):
        message += (
            f"; let everybody read it, or set spec.predictor.securityContext.fsGroup "
            f"(the agent is user {os.getuid()})"
        )
        return FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)
    return FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, message)
