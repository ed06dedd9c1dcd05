"""File shares of Azure: `https://ACCOUNT.file.core.windows.net/SHARE/PATH`. Caller: openings.

A path is tried as a file first, then as a folder, which is listed one level at a time.
"""

from collections.abc import AsyncGenerator
from functools import partial
from urllib.parse import urlsplit

from aiohttp import ClientSession

from shoal.reasons import Reason
from shoal.storage import listings, refusals, uris
from shoal.storage.authorities import Authorities
from shoal.storage.azurerequests import Requests, Row
from shoal.storage.buckets import Access, Found, Item
from shoal.storage.credentials import AzureOptions
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from shoal.storage.uris import Location


class Share:
    """A share, as one model in it is asked for."""

    def __init__(self, location: Location, access: Access, requests: Requests) -> None:
        self.location = location
        self.access = access
        self.requests = requests


def make(
    session: ClientSession,
    location: Location,
    options: AzureOptions,
    trusted: Authorities,
    hint: str,
) -> Share:
    """Take the client of a share; nothing is asked yet.

    Raises:
        FetchError: the credentials are none that it takes.
    """
    options = options.at(location.account, urlsplit(location.uri).query)
    if not (options.anonymous or options.key or options.sas or options.token):
        message = (
            f"{options.origin}: {location.shown} is in a file share, which needs "
            "AZURE_STORAGE_ACCESS_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_ACCESS_TOKEN; "
            f"{options.identity} is not used for it"
        )
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, message)
    endpoint = options.share_endpoint or f"https://{options.account}.file.core.windows.net"
    access = Access(uris.redact(endpoint), options.origin, options.identity, hint, trusted.trust)
    requests = Requests(session, endpoint, location.bucket, options, trusted.tls)
    return Share(location, access, requests)


async def find(share: Share, limits: Limits) -> Found:
    """Look an address up.

    Raises:
        FetchError: nothing is there, too much, or the share cannot be asked.
    """
    location, read = share.location, partial(_read, share)
    try:
        if location.key and not location.key.endswith("/"):
            row = await share.requests.head(location.key)
            if row is not None:
                item = _item(location.key, row.name, row)
                return Found(share.access.endpoint, (item,), is_single=True, read=read)
        items = await _list(share, limits)
    except OSError as error:
        raise refusals.failure(share.access, location, error) from error
    if not items:
        raise refusals.missing(share.access, location)
    listings.check(location, items)
    return Found(share.access.endpoint, tuple(items), is_single=False, read=read)


async def _list(share: Share, limits: Limits) -> list[Item]:
    location = share.location
    folders, items, seen = [location.key.rstrip("/")], [], 0
    while folders:
        folder = folders.pop()
        async for row in share.requests.list(folder):
            seen += 1
            limits.accept_files(location.shown, seen)
            key = f"{folder}/{row.name}" if folder else row.name
            if row.is_folder:
                folders.append(key)
            else:
                items.append(_item(key, listings.path(location, key), row))
    return items


async def _read(share: Share, item: Item, span: tuple[int, int]) -> AsyncGenerator[bytes, None]:
    """Read the bytes `span` of a file, if it is still the one that was found."""
    try:
        async for chunk in share.requests.read(item.key, item.etag, span, item.size):
            yield chunk
    except OSError as error:
        raise refusals.failure(share.access, share.location, error) from error


def _item(key: str, path: str, row: Row) -> Item:
    return Item(key, path, row.size, row.etag, row.etag)
