"""Models behind http and https links: one file, or one archive.

One GET does all for a small file: its headers identify the content, and its body is read only
when that content is not held already. A large one is read in ranges, if the server has them.
Links may be signed, so no query string and no user leaves this module.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ClientError, ClientResponse, ClientSession

from shoal.reasons import Reason
from shoal.storage import archives, downloads, uris, weblinks
from shoal.storage.credentials import Credentials
from shoal.storage.downloads import Wanted
from shoal.storage.failures import FetchError, Kind, status_kind
from shoal.storage.limits import Limits
from shoal.storage.partials import File
from shoal.storage.threads import Run
from shoal.storage.uris import Location
from shoal.storage.weblinks import Link

_OK, _PARTIAL, _RANGE_NOT_SATISFIABLE, _PRECONDITION_FAILED = 200, 206, 416, 412
_LARGE = 8 * 1024 * 1024  # from here on, more requests are worth their time
_GZIP = 16 + zlib.MAX_WBITS
_PLAIN = {"", "identity"}
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Page:
    """An answer whose body has not been read yet."""

    link: Link
    response: ClientResponse
    name: str
    content_type: str
    size: int  # 0 when not announced
    version: str  # "" when the server identifies nothing
    condition: str  # what a range is asked with, "" where the server has none
    is_packed: bool  # gzip on the way only: the file is what comes out of it


class _NoRangeError(Exception):
    """The server said that it has ranges, and has none."""


@asynccontextmanager
async def opened(
    session: ClientSession, location: Location, known: Credentials, limits: Limits
) -> AsyncIterator[Page]:
    """Ask for a link.

    Raises:
        FetchError: the server cannot be reached or refuses.
    """
    link = weblinks.make(session, location, known, limits)
    response = await link.get({})
    try:
        if response.status != _OK:
            raise _refused(link, response)
        yield _page(link, response)
    finally:
        response.close()


async def save(page: Page, file: File, room: int, count: Callable[[int], None], work: Run) -> None:
    """Write the body to `file` by `work`, at most `room` bytes; `count` is told of bytes.

    Raises:
        FetchError: the body is shorter than announced, longer than `room`, or stops coming.
    """
    shown = page.link.location.shown
    if page.condition and (page.size > _LARGE or file.written):
        page.response.close()

        def read(_: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
            return _range(page, start, end)

        try:
            await downloads.run([Wanted(page.name, file)], read, shown, count, work)
        except _NoRangeError:
            await _anew(page, file, room, count, work)
        return
    await _stream(page, page.response, file, room, count, work)


async def _anew(
    page: Page, file: File, room: int, count: Callable[[int], None], work: Run
) -> None:
    response = await page.link.get({})
    try:
        if response.status != _OK:
            raise _refused(page.link, response)
        await _stream(page, response, file, room, count, work)
    finally:
        response.close()


async def _stream(
    page: Page,
    response: ClientResponse,
    file: File,
    room: int,
    count: Callable[[int], None],
    work: Run,
) -> None:
    shown = page.link.location.shown
    file.clear()
    done = 0
    chunks = _body(response, shown)
    async for chunk in _unpacked(chunks, shown) if page.is_packed else chunks:
        if done + len(chunk) > room:
            message = f"{shown}: more than the {room} bytes that there is room for"
            raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
        await work(len(chunk), file.write, done, chunk)
        done += len(chunk)
        count(len(chunk))
    if not done:
        file.write(0, b"")
    if page.size and not page.is_packed and done != page.size:
        message = f"{shown}: brought {done} bytes where {page.size} were announced"
        raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)


async def _range(page: Page, start: int, end: int) -> AsyncGenerator[bytes, None]:
    shown = page.link.location.shown
    wanted = {"Range": f"bytes={start}-{end - 1}", "If-Range": page.condition}
    response = await page.link.get(wanted)
    try:
        told = response.headers.get("ETag", "")
        whole = page.response.headers.get("ETag", "")
        if response.status == _OK and told == whole:
            raise _NoRangeError
        changed = response.status in {_OK, _RANGE_NOT_SATISFIABLE, _PRECONDITION_FAILED}
        if changed or (response.status == _PARTIAL and told and told != whole):
            message = f"{shown}: changed while it was downloaded"
            raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)
        if response.status != _PARTIAL:
            raise _refused(page.link, response)
        expected = f"bytes {start}-{end - 1}/{page.size}"
        if response.headers.get("Content-Range", "").strip() != expected:
            raise _NoRangeError
        async for chunk in _body(response, shown):
            yield chunk
    finally:
        response.close()


async def _body(response: ClientResponse, shown: str) -> AsyncGenerator[bytes, None]:
    """Gather what comes into pieces worth a write, but keep none back for long."""
    loop = asyncio.get_running_loop()
    held, done, since = bytearray(), 0, loop.time()
    try:
        async for chunk in response.content.iter_chunked(downloads.CHUNK):
            held += chunk
            done += len(chunk)
            if len(held) >= downloads.CHUNK or loop.time() - since > _PATIENCE_SECONDS:
                yield bytes(held)
                held, since = bytearray(), loop.time()
    except (ClientError, TimeoutError, ConnectionError) as error:
        message = f"{shown}: the download stopped after {done} bytes: {weblinks.cause(error)}"
        raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message) from error
    if held:
        yield bytes(held)


async def _unpacked(
    chunks: AsyncGenerator[bytes, None], shown: str
) -> AsyncGenerator[bytes, None]:
    """Undo a gzip that the server applied though none was asked for, in bounded pieces."""
    machine = zlib.decompressobj(_GZIP)
    try:
        async for chunk in chunks:
            rest = chunk
            while rest:
                if machine.eof:
                    machine = zlib.decompressobj(_GZIP)
                yield machine.decompress(rest, downloads.CHUNK)
                rest = machine.unconsumed_tail or machine.unused_data
        yield machine.flush()
    except zlib.error as error:
        message = f"{shown}: is said to be gzip-encoded, and is not: {error}"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message) from error
    if not machine.eof:
        message = f"{shown}: the gzip-encoded body ends too early"
        raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)


def _page(link: Link, response: ClientResponse) -> Page:
    headers = response.headers
    size = _length(headers.get("Content-Length", ""))
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    name = uris.file_name(link.location.uri, headers.get("Content-Disposition", ""))
    content_type = headers.get("Content-Type", "")
    encoding = headers.get("Content-Encoding", "").strip().lower()
    # A weak tag does not promise equal bytes, so no two parts are joined by it (RFC 9110 §13.1.5).
    condition = modified if etag.startswith("W/") else etag or modified
    has_ranges = headers.get("Accept-Ranges", "").strip().lower() == "bytes"
    return Page(
        link=link,
        response=response,
        name=name,
        content_type=content_type,
        size=size,
        version=etag or (f"{modified} {size}" if modified else ""),
        condition=condition if has_ranges and size and encoding in _PLAIN else "",
        is_packed=_is_packed(link.location, name, content_type, encoding),
    )


def _is_packed(location: Location, name: str, content_type: str, encoding: str) -> bool:
    """Tell whether the body is to be unzipped to become the file.

    Many servers describe a `.tar.gz` as a tar that is gzip-encoded: such a file is left as it is.
    """
    if encoding in _PLAIN or name.lower().endswith((".gz", ".tgz")):
        return False
    if encoding not in {"gzip", "x-gzip"}:
        message = f"{location.shown}: is sent {encoding}-encoded, though it was asked for as it is"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
    return archives.kind(name, content_type) != "tar"


def _length(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _refused(link: Link, response: ClientResponse) -> FetchError:
    shown, host = link.location.shown, link.location.bucket
    said = f"{response.status} {response.reason or ''}".rstrip()
    if response.status in {401, 403}:
        message = f"{link.origin}: {host} refused {shown}: {said}"
        return FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)
    message = f"{host} answered {said} for {shown}"
    if response.status in {404, 410}:
        return FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)
    return FetchError(status_kind(response.status), Reason.STORAGE_UNAVAILABLE, message)
