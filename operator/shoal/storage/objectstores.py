"""Models in object stores, through obstore.

`find` looks an address up; what it returns can read it. A folder is a prefix that ends
at a slash, so that `model` never brings `model2/`; a key without one is tried as an object first.
"""

import re
from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, InvalidPathError

from shoal.reasons import Reason
from shoal.storage import downloads, listings, plainstores, refusals
from shoal.storage.buckets import Bucket, Found, Item
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from shoal.storage.uris import Location

if TYPE_CHECKING:
    from obstore import GetOptions

_OWN_AUTHORITY = "CaUsedAsEndEntity"
_ODD = re.compile(r'Path "([^"]+)"')


async def find(bucket: Bucket, location: Location, limits: Limits) -> Found:
    """Look an address up.

    Raises:
        FetchError: nothing is there, too much, or the store cannot be asked.
    """
    try:
        return await _find(bucket, location, limits)
    except InvalidPathError as error:
        if bucket.spare is None:
            raise _odd(location, error) from error
    except (BaseError, OSError) as error:
        if bucket.spare is None or _OWN_AUTHORITY not in str(error):
            raise refusals.failure(bucket, location, error) from error
    return await plainstores.find(bucket, bucket.spare(), location, limits)


async def _find(bucket: Bucket, location: Location, limits: Limits) -> Found:
    read = partial(_read, bucket, location)
    if location.key and not location.key.endswith("/"):
        single = await _head(bucket, location)
        if single is not None:
            return Found(bucket.endpoint, (single,), is_single=True, read=read)
    items = await _list(bucket, location, limits)
    if not items:
        raise refusals.missing(bucket, location)
    listings.check(location, items)
    return Found(bucket.endpoint, tuple(items), is_single=False, read=read)


async def _read(
    bucket: Bucket, location: Location, item: Item, span: tuple[int, int]
) -> AsyncGenerator[bytes, None]:
    """Read the bytes `span` of an object, if it is still the one that was found."""
    options: GetOptions = {} if span == (0, item.size) else {"range": span}
    if item.etag:
        options["if_match"] = item.etag
    try:
        answer = await obstore.get_async(bucket.store, item.key, options=options)
        size = downloads.chunk(span)
        if answer.range == span and span[1] - span[0] <= size:
            # A stream would be asked for its end as well.
            yield (await answer.bytes_async()).to_bytes()
            return
        async for chunk in answer.stream(min_chunk_size=size):
            yield chunk
    except (BaseError, OSError) as error:
        raise refusals.failure(bucket, location, error) from error


async def _head(bucket: Bucket, location: Location) -> Item | None:
    try:
        meta = await obstore.head_async(bucket.store, location.key)
    except FileNotFoundError:
        return None
    except (BaseError, OSError) as error:
        # A refused HEAD has no body: the listing that follows brings the store's own words.
        if refusals.words(error)[0] in {400, 401, 403}:
            return None
        raise
    name = location.key.rpartition("/")[2]
    return _item(meta, name)


async def _list(bucket: Bucket, location: Location, limits: Limits) -> list[Item]:
    prefix = location.key.rstrip("/")
    items = []
    async for chunk in obstore.list(bucket.store, prefix=prefix or None, chunk_size=1000):
        for meta in chunk:
            key = str(meta["path"])
            # The folder's own marker comes back without its slash and with no bytes.
            if key == prefix or (key.endswith("/") and meta["size"] == 0):
                continue
            items.append(_item(meta, listings.path(location, key)))
        limits.accept_files(location.shown, len(items))
    return listings.without_markers(items)


def _item(meta: Any, path: str) -> Item:  # noqa: ANN401 - obstore's ObjectMeta, a TypedDict
    etag = meta.get("e_tag") or ""
    version = etag or meta["last_modified"].isoformat()
    return Item(str(meta["path"]), path, int(meta["size"]), version, etag)


def _odd(location: Location, error: Exception) -> FetchError:
    named = _ODD.search(str(error))
    what = f"the key {named[1]!r}" if named else "a key below it"
    message = (
        f"{location.shown}: {what} has an empty or dot segment, which cannot be fetched from "
        "here; give the object another key"
    )
    return FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
