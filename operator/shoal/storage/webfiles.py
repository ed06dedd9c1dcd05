"""Models behind http and https links: one file, or one archive.

One GET does all: its headers identify the content, and its body is read only when that content
is not held already. Links may be signed, so no query string leaves this module.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from shoal.reasons import Reason
from shoal.storage import credentials, uris
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind, status_kind
from shoal.storage.uris import Location

_CHUNK = 1024 * 1024
_TIMEOUT = ClientTimeout(total=None, sock_connect=5, sock_read=30)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer whose body has not been read yet."""

    response: ClientResponse
    name: str
    content_type: str
    size: int  # 0 when not announced
    version: str  # "" when the server identifies nothing


@asynccontextmanager
async def opened(
    session: ClientSession, location: Location, known: Credentials
) -> AsyncIterator[Page]:
    """Ask for a link.

    Raises:
        FetchError: the server cannot be reached or refuses.
    """
    origin, text = credentials.headers(location.bucket, known)
    try:
        headers = credentials.parse_headers(text)
    except ValueError as error:
        message = f"{origin}: headers cannot be read: {error}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error
    # No transparent decompression: the bytes are to be those that the length announces.
    headers = {"Accept-Encoding": "identity"} | headers
    try:
        response = await session.get(
            location.uri, headers=headers, timeout=_TIMEOUT, auto_decompress=False
        )
    except (ClientError, TimeoutError, ValueError) as error:
        raise _unreachable(location, error) from error
    try:
        if response.status != 200:  # noqa: PLR2004 - OK, and nothing else brings the file
            raise _refused(location, response, origin)
        yield _page(location, response)
    finally:
        response.close()


async def save(
    page: Page, location: Location, target: Path, room: int, count: Callable[[int], None]
) -> None:
    """Write the body to `target`, at most `room` bytes; `count` is told of bytes.

    Raises:
        FetchError: the body is shorter than announced, longer than `room`, or stops coming.
    """
    done = 0
    try:
        with target.open("xb") as opened_file:
            async for chunk in page.response.content.iter_chunked(_CHUNK):
                done += len(chunk)
                if done > room:
                    message = f"{location.shown}: more than the {room} bytes that are free"
                    raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
                await asyncio.to_thread(opened_file.write, chunk)
                count(len(chunk))
    except (ClientError, TimeoutError) as error:
        message = f"{location.shown}: the download stopped after {done} bytes: {_cause(error)}"
        raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message) from error
    if page.size and done != page.size:
        message = f"{location.shown}: brought {done} bytes where {page.size} were announced"
        raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)


def _page(location: Location, response: ClientResponse) -> Page:
    headers = response.headers
    size = int(headers.get("Content-Length", "0") or "0")
    version = headers.get("ETag", "")
    if not version and "Last-Modified" in headers:
        version = f"{headers['Last-Modified']} {size}"
    return Page(
        response=response,
        name=uris.file_name(location.uri, headers.get("Content-Disposition", "")),
        content_type=headers.get("Content-Type", ""),
        size=size,
        version=version,
    )


def _refused(location: Location, response: ClientResponse, origin: str) -> FetchError:
    said = f"{response.status} {response.reason or ''}".rstrip()
    if response.status in {401, 403}:
        message = f"{origin}: {location.bucket} refused {location.shown}: {said}"
        return FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)
    message = f"{location.bucket} answered {said} for {location.shown}"
    if response.status in {404, 410}:
        return FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)
    return FetchError(status_kind(response.status), Reason.STORAGE_UNAVAILABLE, message)


def _unreachable(location: Location, error: Exception) -> FetchError:
    message = f"{location.bucket} cannot be reached for {location.shown}: {_cause(error)}"
    return FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, message)


def _cause(error: Exception) -> str:
    # aiohttp's own texts repeat the link, and with it a signature; the cause below does not.
    cause = getattr(error, "os_error", None)
    if cause is not None:
        return str(getattr(cause, "strerror", "") or cause)
    if isinstance(error, TimeoutError):
        return "timed out"
    return type(error).__name__
