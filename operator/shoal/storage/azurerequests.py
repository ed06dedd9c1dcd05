"""Requests to a file share of Azure, in its REST API. Caller: azureshares.

obstore knows blobs alone, and the library for shares costs 20 packages for the three requests
that are needed: Get File Properties, List Directories and Files, Get File.
"""

import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import quote, unquote, urlencode
from xml.etree import ElementTree as ET

from aiohttp import ClientResponse, ClientSession
from yarl import URL

from shoal.storage.credentials import AzureOptions
from shoal.storage.storerequests import CHUNK, TIMEOUT, RequestError, reaching

# The first that takes access tokens; it encodes names that XML cannot have.
_VERSION: Final = "2022-11-02"
_OK, _PARTIAL, _CHANGED = 200, 206, 412
_NO_FILE: Final = {404, 409}  # nothing, or a folder
_REFUSED: Final = {400, 401, 403}
_LISTING: Final = {"restype": "directory", "comp": "list", "include": "Etag"}
_UNUSED_LINES: Final = 11  # of what a signature covers; these requests have none of them


@dataclass(frozen=True, slots=True)
class Row:
    """One file or folder."""

    name: str
    size: int
    etag: str
    is_folder: bool


class Requests:
    """Requests to one share."""

    def __init__(
        self,
        session: ClientSession,
        endpoint: str,
        share: str,
        options: AzureOptions,
        tls: ssl.SSLContext | bool,  # noqa: FBT001 - aiohttp's own type
    ) -> None:
        self._session = session
        self._url = f"{endpoint}/{quote(share)}"
        self._options = options
        self._tls = tls

    async def head(self, key: str) -> Row | None:
        """Look one file up; None where there is no file.

        Raises:
            RequestError: the share refused or cannot be reached.
        """
        try:
            async with self._ask("HEAD", key, {}, {}) as answer:
                size = int(answer.headers.get("Content-Length", "0"))
                return Row(key.rpartition("/")[2], size, _etag(answer), is_folder=False)
        except _MissingError:
            return None

    async def list(self, folder: str) -> AsyncGenerator[Row, None]:
        """List what is in a folder.

        Raises:
            RequestError: the share refused or cannot be reached.
        """
        query: Mapping[str, str] = _LISTING
        while query:
            async with self._ask("GET", folder, query, {}) as answer:
                root = ET.fromstring(await answer.read())  # noqa: S314 - expat is bounded
            for element in root.findall("Entries/*"):
                yield _row(element)
            marker = root.findtext("NextMarker", "")
            query = {**_LISTING, "marker": marker} if marker else {}

    async def read(
        self, key: str, etag: str, span: tuple[int, int], size: int
    ) -> AsyncGenerator[bytes, None]:
        """Read the bytes `span` of a file, if it is still the one that was listed.

        Raises:
            RequestError: it is not, or the share cannot be reached.
        """
        start, end = span
        headers = {} if span == (0, size) else {"x-ms-range": f"bytes={start}-{end - 1}"}
        async with self._ask("GET", key, {}, headers) as answer:
            if _etag(answer) != etag or answer.status != (_PARTIAL if headers else _OK):
                raise RequestError(f"status code: {_CHANGED}")
            with reaching():
                async for chunk in answer.content.iter_chunked(CHUNK):
                    yield chunk

    @asynccontextmanager
    async def _ask(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[ClientResponse]:
        url = f"{self._url}/{quote(key)}" if key else self._url
        words = "&".join(each for each in (urlencode(query), self._signed_words()) if each)
        asked = URL(f"{url}?{words}" if words else url, encoded=True)
        with reaching():
            answer = await self._session.request(
                method,
                asked,
                headers=self._headers(method, asked, query, headers),
                ssl=self._tls,
                timeout=TIMEOUT,
                allow_redirects=False,
                auto_decompress=False,
            )
        try:
            if answer.status not in {_OK, _PARTIAL}:
                raise await _refusal(answer)
            yield answer
        finally:
            answer.close()

    def _signed_words(self) -> str:
        options = self._options
        return options.sas if options.sas and not (options.token or options.key) else ""

    def _headers(
        self, method: str, url: URL, query: Mapping[str, str], more: Mapping[str, str]
    ) -> dict[str, str]:
        options = self._options
        told = {"x-ms-version": _VERSION, "x-ms-date": formatdate(usegmt=True), **more}
        if options.token:
            told["x-ms-file-request-intent"] = "backup"
            told["Authorization"] = f"Bearer {options.token}"
        elif options.key:
            account, path = options.account, url.raw_path
            signed = sign(account, options.key, method, path, (query, told))
            told["Authorization"] = f"SharedKey {account}:{signed}"
        return {"Accept-Encoding": "identity"} | told


class _MissingError(RequestError):
    """There is nothing."""


def sign(
    account: str,
    key: str,
    method: str,
    path: str,
    parts: tuple[Mapping[str, str], Mapping[str, str]],
) -> str:
    """Sign a request without a body, by its query and its `x-ms-` headers (Shared Key).

    Raises:
        RequestError: the key is none.
    """
    query, headers = parts
    rows = [method, *[""] * _UNUSED_LINES]
    rows += [f"{name}:{headers[name]}" for name in sorted(headers)]
    rows += [f"/{account}{path}", *[f"{name}:{query[name]}" for name in sorted(query)]]
    try:
        secret = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise RequestError("status code: 403 <Code>the key is not base64</Code>") from error
    whole = "\n".join(rows).encode()
    return base64.b64encode(hmac.new(secret, whole, hashlib.sha256).digest()).decode()


async def _refusal(answer: ClientResponse) -> RequestError:
    # A refused HEAD has no body: the listing that follows brings the share's own words.
    is_head = answer.method == "HEAD"
    is_missing = answer.status in (_NO_FILE | _REFUSED if is_head else _NO_FILE)
    text = await answer.text(errors="replace")
    kind = _MissingError if is_missing else RequestError
    return kind(f"status code: {answer.status} {text}")


def _etag(answer: ClientResponse) -> str:
    return answer.headers.get("ETag", "").strip('"')


def _row(element: ET.Element) -> Row:
    named = element.find("Name")
    name = (named.text or "") if named is not None else ""
    if named is not None and named.get("Encoded", "") == "true":
        name = unquote(name)
    size = int(element.findtext("Properties/Content-Length", "0"))
    etag = element.findtext("Properties/Etag", "").strip('"')
    return Row(name, size, etag, is_folder=element.tag == "Directory")
