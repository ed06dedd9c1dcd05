"""What the keys below a folder make of a tree of files. Pure. Callers: the object stores."""

from collections.abc import Sequence

from shoal.reasons import Reason
from shoal.storage import uris
from shoal.storage.buckets import Item
from shoal.storage.failures import FetchError, Kind
from shoal.storage.uris import Location


def path(location: Location, key: str) -> str:
    """Make the path, below the model's folder, of an object.

    Raises:
        FetchError: no file can be named so.
    """
    try:
        return uris.relative(location.key.rstrip("/"), key)
    except uris.UriError as error:
        raise _bad(location, str(error)) from error


def without_markers(items: Sequence[Item]) -> list[Item]:
    """Drop empty objects that stand for a folder which has files of its own."""
    folders = set()
    for item in items:
        parent = item.path.rpartition("/")[0]
        while parent:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    return [item for item in items if item.size or item.path not in folders]


def check(location: Location, items: Sequence[Item]) -> None:
    """Make sure that the files can be beside each other.

    Raises:
        FetchError: two want one place.
    """
    keys: dict[str, str] = {}
    for item in items:
        other = keys.setdefault(item.path, item.key)
        if other != item.key:
            raise _bad(location, f"the keys {other!r} and {item.key!r} are one path on a disk")
    if both := uris.conflicts(keys):
        raise _bad(location, f"{both!r} is both an object and a folder")


def _bad(location: Location, what: str) -> FetchError:
    return FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, f"{location.shown}: {what}")
