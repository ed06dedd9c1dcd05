"""Archives unpacked safely: nothing outside the folder, no links out of it, no devices, no bombs.

Runs in a worker thread; nothing here knows the event loop.
"""

import errno
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from shoal.storage import tars, zips
from shoal.storage.limits import Limits
from shoal.storage.unpackings import ArchiveError, Unpacking

_SUFFIXES = {".zip": "zip", ".tar": "tar", ".tar.gz": "tar", ".tgz": "tar"}
_TYPES = {
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
    "application/x-tar": "tar",
    "application/gzip": "tar",
    "application/x-gzip": "tar",
    "application/x-gtar": "tar",
}
_FLOOR = 64 * 1024 * 1024  # so much may come of however small an archive
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    TypeError,
    AttributeError,
)
_ODD_NAMES = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL}


def kind(name: str, content_type: str = "") -> str:
    """Tell what an artefact is: "zip", "tar" or "" (no archive)."""
    lower = name.lower()
    for suffix, found in _SUFFIXES.items():
        if lower.endswith(suffix):
            return found
    offered = _TYPES.get(content_type.partition(";")[0].strip().lower(), "")
    # A lone gzip, such as `model.pkl.gz`, is no archive, whatever its type says.
    return "" if lower.endswith(".gz") else offered


def growth(size: int, ratio: float) -> int:
    """Tell how many bytes may come of what is packed into `size` bytes."""
    return max(_FLOOR, int(ratio * size))


def opening(archive: Path, into: Path, limit: int, limits: Limits) -> Unpacking:
    """Begin with `archive`, of which at most `limit` bytes go into the existing folder `into`.

    Nor may it have more entries than `limits` allows, or grow more (64 MiB are always allowed).
    """
    bound = growth(archive.stat().st_size, limits.ratio)
    return Unpacking(into, limit, bound, limits.files)


def unpack(archive: Path, found: str, unpacking: Unpacking) -> Mapping[str, str]:
    """Unpack `archive`; returns the sha256 of each file by its path.

    Raises:
        ArchiveError: it is broken, or has an entry that is refused.
        ArchiveTooBigError: its content is larger than it may be.
    """
    try:
        if found == "zip":
            zips.unpack(archive, unpacking)
        else:
            tars.unpack(archive, unpacking)
    except ArchiveError:
        raise
    except _BROKEN as error:
        # What the library raises for damaged bytes is not always an error of its own kind.
        raise ArchiveError(f"the {found} archive is broken: {error}") from error
    except (ValueError, NotImplementedError) as error:
        raise ArchiveError(f"the {found} archive cannot be read: {error}") from error
    except OSError as error:
        if error.errno in _ODD_NAMES:
            said = f"an entry's name cannot be used here: {error.strerror}"
            raise ArchiveError(f"the {found} archive cannot be read: {said}") from error
        if error.errno is None:  # gzip.BadGzipFile
            raise ArchiveError(f"the {found} archive is broken: {error}") from error
        raise
    return unpacking.sums
