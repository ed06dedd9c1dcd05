"""S3 without obstore, for what obstore refuses. Caller: objectstores, only where it has to.

obstore fails a whole listing for one key such as `a//b`, and does not trust a certificate that is
its own authority, as small installations have, even where it was named to it. This asks more
slowly, with OpenSSL and with keys exactly as they are; AWS Signature Version 4 throughout.
"""

import hashlib
import hmac
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from aiohttp import ClientResponse, ClientSession
from yarl import URL

from shoal.storage import authorities
from shoal.storage.credentials import S3Options
from shoal.storage.storerequests import CHUNK, TIMEOUT, RequestError, reaching

_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_OK: Final = frozenset({200, 206})
_NAMESPACE: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a listing."""

    key: str
    size: int
    etag: str


class Requests:
    """Requests to one bucket."""

    def __init__(
        self, session: ClientSession, bucket: str, options: S3Options, authority: str
    ) -> None:
        self._session = session
        self._options = options
        self._tls = _context(options, authority)
        endpoint = options.endpoint or f"https://s3.{options.region}.amazonaws.com"
        scheme, _, host = endpoint.partition("://")
        self._url = f"{scheme}://{bucket}.{host}" if options.virtual_host else endpoint
        self._base = "" if options.virtual_host else f"/{quote(bucket)}"

    async def head(self, key: str) -> Row | None:
        """Look one object up: of all keys that begin so, it is the first.

        Raises:
            RequestError: the store refused or cannot be reached.
        """
        async with aclosing(self.list(key)) as rows:
            async for row in rows:
                return row if row.key == key else None
        return None

    async def list(self, prefix: str) -> AsyncGenerator[Row, None]:
        """List the objects whose keys begin so.

        Raises:
            RequestError: the store refused or cannot be reached.
        """
        query = {"list-type": "2", "prefix": prefix}
        while query:
            async with self._get(f"{self._base}/", query, {}) as answer:
                root = ET.fromstring(await answer.read())  # noqa: S314 - expat is bounded
            for row in _all(root, "Contents"):
                yield Row(_text(row, "Key"), int(_text(row, "Size")), _text(row, "ETag"))
            token = _text(root, "NextContinuationToken")
            query = {**query, "continuation-token": token} if token else {}

    async def read(
        self, key: str, etag: str, span: tuple[int, int]
    ) -> AsyncGenerator[bytes, None]:
        """Read the bytes `span` of an object, if it is still the one that was listed.

        Raises:
            RequestError: it is not, or the store cannot be reached.
        """
        headers = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span[1] > span[0] else {}
        headers |= {"If-Match": etag} if etag else {}
        path = f"{self._base}/{quote(key, safe='/-_.~')}"
        async with self._get(path, {}, headers) as answer:
            with reaching():
                async for chunk in answer.content.iter_chunked(CHUNK):
                    yield chunk

    @asynccontextmanager
    async def _get(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[ClientResponse]:
        words = "&".join(f"{name}={quote(query[name], safe='-_.~')}" for name in sorted(query))
        url = URL(f"{self._url}{path}{f'?{words}' if words else ''}", encoded=True)
        signed = {**headers, **self._signature(path, words)}
        with reaching():
            answer = await self._session.get(
                url, headers=signed, ssl=self._tls, timeout=TIMEOUT, allow_redirects=False
            )
        try:
            if answer.status not in _OK:
                text = await answer.text(errors="replace")
                raise RequestError(f"status code: {answer.status} {text}")
            yield answer
        finally:
            answer.close()

    def _signature(self, path: str, words: str) -> dict[str, str]:
        options = self._options
        if options.anonymous:
            return {}
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")  # noqa: TID251 - servers compare it
        headers = {"host": urlsplit(self._url).netloc, "x-amz-content-sha256": _EMPTY}
        headers |= {"x-amz-date": stamp}
        if options.session_token:
            headers["x-amz-security-token"] = options.session_token
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        names = ";".join(sorted(headers))
        request = f"GET\n{path}\n{words}\n{lines}\n{names}\n{_EMPTY}"
        scope = f"{stamp[:8]}/{options.region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{options.secret_key}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={options.access_key}/{scope},"
            f"SignedHeaders={names},Signature={key.hex()}"
        )
        return headers


def _context(options: S3Options, authority: str) -> ssl.SSLContext:
    context = authorities.make(authority)
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _all(element: ET.Element, name: str) -> list[ET.Element]:
    return element.findall(f"{_NAMESPACE}{name}") or element.findall(name)


def _text(element: ET.Element, name: str) -> str:
    found = _all(element, name)
    return (found[0].text or "") if found else ""
