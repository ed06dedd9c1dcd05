"""Models in S3 buckets, without obstore. Caller: objectstores, for what obstore refuses.

Keys are taken as they are; an empty segment and `.` mean on the disk what they mean there.
"""

from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING

from shoal.storage import listings, refusals
from shoal.storage.buckets import Bucket, Found, Item
from shoal.storage.limits import Limits
from shoal.storage.uris import Location

if TYPE_CHECKING:
    from shoal.storage.s3requests import Requests, Row


async def find(bucket: Bucket, requests: "Requests", location: Location, limits: Limits) -> Found:
    """Look an address up.

    Raises:
        FetchError: nothing is there, too much, or the store cannot be asked.
    """
    read = partial(_read, bucket, requests, location)
    try:
        if location.key and not location.key.endswith("/"):
            row = await requests.head(location.key)
            if row is not None:
                item = _item(row, location.key.rpartition("/")[2])
                return Found(bucket.endpoint, (item,), is_single=True, read=read)
        items = await _list(requests, location, limits)
    except OSError as error:
        raise refusals.failure(bucket, location, error) from error
    if not items:
        raise refusals.missing(bucket, location)
    listings.check(location, items)
    return Found(bucket.endpoint, tuple(items), is_single=False, read=read)


async def _list(requests: "Requests", location: Location, limits: Limits) -> list[Item]:
    prefix = f"{location.key.rstrip('/')}/" if location.key else ""
    items = []
    async for row in requests.list(prefix):
        is_marker = row.key.endswith("/") and not row.size
        if row.key != prefix and not is_marker:
            items.append(_item(row, listings.path(location, row.key)))
            limits.accept_files(location.shown, len(items))
    return listings.without_markers(items)


async def _read(
    bucket: Bucket, requests: "Requests", location: Location, item: Item, span: tuple[int, int]
) -> AsyncGenerator[bytes, None]:
    """Read the bytes `span` of an object, if it is still the one that was found."""
    try:
        async for chunk in requests.read(item.key, item.etag, span):
            yield chunk
    except OSError as error:
        raise refusals.failure(bucket, location, error) from error


def _item(row: "Row", path: str) -> Item:
    return Item(row.key, path, row.size, row.etag, row.etag)
