"""Requests for one http(s) link: its headers, its redirects, and nothing of either to strangers.

Redirects are followed here and not by the client library, which would send the headers of a
Secret on to whatever host it is led to.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
)
from yarl import URL

from shoal.reasons import Reason
from shoal.storage import authorities, credentials, downloads
from shoal.storage.authorities import Authorities
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from shoal.storage.uris import Location

_REDIRECTS = {301, 302, 303, 307, 308}
_HOPS = 10
_ANSWER_SECONDS = 30
_TIMEOUT = ClientTimeout(total=None, sock_connect=5)
_ENCODED = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Link:
    """An address, and what it is asked with."""

    session: ClientSession
    location: Location
    known: Credentials = field(repr=False)
    url: URL = field(repr=False)  # without user and password
    own: Mapping[str, str] = field(repr=False)  # headers for this origin alone, such as those
    origin: str  # whose headers the first request has
    patience: float  # seconds until the first line of an answer
    trusted: Authorities = field(repr=False)

    async def get(self, more: Mapping[str, str]) -> ClientResponse:
        """Ask, and follow redirects; the caller closes the response.

        Raises:
            FetchError: nobody answers, or the redirects lead nowhere.
        """
        url = self.url
        for _ in range(_HOPS + 1):
            response = await self._ask(url, more)
            target = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not target:
                return response
            response.close()
            url = self._next(url, target)
        message = f"{self.location.shown}: was redirected more than {_HOPS} times"
        raise FetchError(Kind.UNKNOWN, Reason.STORAGE_UNAVAILABLE, message)

    async def _ask(self, url: URL, more: Mapping[str, str]) -> ClientResponse:
        # No transparent decompression: the bytes are to be those that the length announces.
        headers = {"Accept-Encoding": "identity"} | self.headers(url) | dict(more)
        try:
            async with asyncio.timeout(self.patience):
                return await self.session.get(
                    url,
                    headers=headers,
                    ssl=self.trusted.tls,
                    timeout=_TIMEOUT,
                    auto_decompress=False,
                    allow_redirects=False,
                    read_bufsize=downloads.CHUNK,
                )
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            host = url.host or self.location.bucket
            advice = self.trusted.advice(getattr(error, "os_error", None))
            message = f"{host} cannot be reached for {self.location.shown}: {cause(error)}{advice}"
            raise FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, message) from error

    def headers(self, url: URL) -> dict[str, str]:
        """Choose what is sent to this address to log in.

        Raises:
            FetchError: its headers cannot be read.
        """
        own = dict(self.own) if url.origin() == self.url.origin() else {}
        return own | _own(url, self.known)

    def _next(self, url: URL, target: str) -> URL:
        shown = self.location.shown
        try:
            found = url.join(_url(target))
            found = found.with_user(None) if found.host else found
        except ValueError as error:
            message = f"{shown}: was redirected by {url.host} to what is no address"
            raise FetchError(Kind.UNKNOWN, Reason.STORAGE_UNAVAILABLE, message) from error
        is_worse = url.scheme == "https" and found.scheme != "https"
        if is_worse or found.scheme not in {"http", "https"} or not found.host:
            message = f"{shown}: was redirected from {url.scheme}:// to {found.scheme}://, refused"
            raise FetchError(Kind.PERMANENT, Reason.STORAGE_UNAVAILABLE, message)
        return found


def make(session: ClientSession, location: Location, known: Credentials, limits: Limits) -> Link:
    """Prepare the requests for an address.

    Raises:
        FetchError: its headers, or the address itself, cannot be read.
    """
    try:
        url = _url(location.uri)
        login = basic(url.user, url.password or "") if url.user else {}
        bare = url.with_user(None)
    except ValueError as error:
        message = f"storageUri: {location.shown!r} is no address"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_STORAGE_URI, message) from error
    origin, _ = credentials.headers(bare.host or "", known)
    return Link(
        session=session,
        location=location,
        known=known,
        url=bare,
        own=login,
        origin="the link's user" if login else origin,
        patience=min(_ANSWER_SECONDS, limits.stall_seconds),
        trusted=authorities.read(known.environ),
    )


def cause(error: Exception) -> str:
    """Say why a request failed, without its address."""
    # aiohttp's own texts repeat the link, and with it a signature; the cause below does not.
    below = getattr(error, "os_error", None)
    if isinstance(below, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted: {below.verify_message}"
    if below is not None:
        return str(getattr(below, "strerror", "") or below)
    if isinstance(error, TimeoutError):
        return "timed out"
    return type(error).__name__


def basic(user: str, password: str) -> dict[str, str]:
    """Make the header of a user with a password."""
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {login}"}


def _own(url: URL, known: Credentials) -> dict[str, str]:
    """Read the headers that are meant for this host."""
    origin, text = credentials.headers(url.host or "", known)
    try:
        return credentials.parse_headers(text)
    except (ValueError, AttributeError) as error:
        message = f"{origin}: headers cannot be read: {error}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error


def _url(text: str) -> URL:
    """Take an address as it is written: a signature may cover each of its letters."""
    return URL(text, encoded=_ENCODED.fullmatch(text) is not None)
