"""Archives unpacked safely: nothing outside the folder, no links out of it, no devices, no bombs.

Runs in a worker thread; nothing here knows the event loop.
"""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO

_SUFFIXES = {".zip": "zip", ".tar": "tar", ".tar.gz": "tar", ".tgz": "tar"}
_TYPES = {
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
    "application/x-tar": "tar",
    "application/gzip": "tar",
    "application/x-gzip": "tar",
    "application/x-gtar": "tar",
}
MAX_FILES = 100_000


class ArchiveError(ValueError):
    """Why an archive is not unpacked."""


class ArchiveTooBigError(ArchiveError):
    """It holds more than there is room for; the message has both numbers."""


def kind(name: str, content_type: str = "") -> str:
    """Tell what an artefact is: "zip", "tar" or "" (no archive)."""
    lower = name.lower()
    for suffix, found in _SUFFIXES.items():
        if lower.endswith(suffix):
            return found
    offered = _TYPES.get(content_type.partition(";")[0].strip().lower(), "")
    # A lone gzip, such as `model.pkl.gz`, is no archive, whatever its type says.
    return "" if lower.endswith(".gz") else offered


def unpack(archive: Path, into: Path, found: str, limit: int) -> None:
    """Unpack `archive`, at most `limit` bytes of it, into the existing folder `into`.

    Raises:
        ArchiveError: it is broken, or has an entry that is refused.
        ArchiveTooBigError: its content is larger than `limit`.
    """
    try:
        if found == "zip":
            _unzip(archive, into, limit)
        else:
            _untar(archive, into, limit)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise ArchiveError(f"the {found} archive is broken: {error}") from error
    except ArchiveError:
        raise
    except (ValueError, NotImplementedError) as error:
        raise ArchiveError(f"the {found} archive cannot be read: {error}") from error
    except OSError as error:
        if error.errno is None:  # gzip.BadGzipFile, zlib's wrapper
            raise ArchiveError(f"the {found} archive is broken: {error}") from error
        raise


def _unzip(archive: Path, into: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        _check_sizes(((entry.filename, entry.file_size) for entry in entries), limit)
        for entry in entries:
            mode = entry.external_attr >> 16
            if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
                raise ArchiveError(f"the archive's entry {entry.filename!r} is a link or a device")
            target = into / _safe(entry.filename)
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(entry) as source, target.open("xb") as sink:
                liar = ArchiveError("the archive holds more than it announces")
                shutil.copyfileobj(source, _Bounded(sink.write, entry.file_size, liar), 1 << 20)


def _untar(archive: Path, into: Path, limit: int) -> None:
    """Unpack a tar; a link to a file within becomes a copy of that file."""
    left, count = limit, 0
    with tarfile.open(archive, "r:*") as opened:
        for count, member in enumerate(opened, 1):
            if count > MAX_FILES:
                raise ArchiveError(f"the archive has more than {MAX_FILES} entries")
            target = into / _safe(member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with _content(opened, member) as source, target.open("xb") as sink:
                bounded = _Bounded(sink.write, left, _too_big(limit, member.name))
                shutil.copyfileobj(source, bounded, 1 << 20)
            left = bounded.left
    if not count:
        raise ArchiveError("the tar archive is empty")


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """Open a file of a tar, or the file within it that a link names."""
    if not (member.isreg() or member.issym() or member.islnk()):
        raise ArchiveError(f"the archive's entry {member.name!r} is a device")
    try:
        content = opened.extractfile(member)
    except KeyError:
        content = None
    if content is None:
        raise ArchiveError(f"the archive's entry {member.name!r} links to no file within it")
    return content


def _check_sizes(entries: Iterable[tuple[str, int]], limit: int) -> None:
    total = 0
    for count, (name, size) in enumerate(entries, 1):
        total += size
        if count > MAX_FILES:
            raise ArchiveError(f"the archive has more than {MAX_FILES} entries")
        if total > limit:
            raise _too_big(limit, name)


def _too_big(limit: int, name: str) -> ArchiveTooBigError:
    return ArchiveTooBigError(
        f"the archive holds more than {limit} bytes by {name!r}, and no more are free"
    )


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ArchiveError(f"the archive's entry {name!r} lies outside of it")
    return path


class _Bounded:
    """A sink that takes no more than it may: what an archive announces may be a lie."""

    def __init__(self, write: Callable[[bytes], int], left: int, error: ArchiveError) -> None:
        self._write = write
        self._error = error
        self.left = left

    def write(self, data: bytes) -> int:
        self.left -= len(data)
        if self.left < 0:
            raise self._error
        return self._write(data)
