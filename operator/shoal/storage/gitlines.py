"""The lines that a git server talks in: four digits of their length, then so many bytes.

A length below four is a mark, such as the end of a list (gitprotocol-common). Caller:
repositories.
"""

import asyncio

from aiohttp import ClientError, StreamReader

from shoal.reasons import Reason
from shoal.storage import weblinks
from shoal.storage.failures import FetchError, Kind, first_line

FLUSH = b"0000"
SECTION = b"0001"
_DIGITS = 4
_ERROR = b"ERR "
_UNKNOWN_COMMIT = "not our ref"


def encode(text: str) -> bytes:
    """Make a line."""
    body = text.encode() + b"\n"
    return b"%04x" % (len(body) + _DIGITS) + body


class Lines:
    """The lines of an answer; `shown` is the address that messages name."""

    def __init__(self, content: StreamReader, shown: str) -> None:
        self._content = content
        self._shown = shown
        self._done = 0

    async def read(self) -> bytes | None:
        """Read the next line; None is a mark.

        Raises:
            FetchError: the server refuses, stops, or talks otherwise.
        """
        size = await self._size()
        body = await self._take(size - _DIGITS) if size > _DIGITS else b""
        if body.startswith(_ERROR):
            raise self.refusal(body.removeprefix(_ERROR))
        return body if size >= _DIGITS else None

    def refusal(self, said: bytes) -> FetchError:
        """Make the error of what the server says instead of an answer."""
        text = first_line(ValueError(said.decode(errors="replace").strip()))
        if _UNKNOWN_COMMIT in text:
            message = f"{self._shown}: the server gives no such commit ({text})"
            return FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)
        message = f"{self._shown}: the git server says: {text}"
        return FetchError(Kind.UNKNOWN, Reason.STORAGE_UNAVAILABLE, message)

    async def _size(self) -> int:
        head = await self._take(_DIGITS)
        try:
            return int(head, 16)
        except ValueError as error:
            message = f"{self._shown}: the server does not answer as a git server does"
            raise FetchError(Kind.UNKNOWN, Reason.STORAGE_UNAVAILABLE, message) from error

    async def _take(self, size: int) -> bytes:
        try:
            body = await self._content.readexactly(size)
        except (asyncio.IncompleteReadError, ClientError, TimeoutError, OSError) as error:
            is_over = isinstance(error, asyncio.IncompleteReadError)
            said = "it ended too early" if is_over else weblinks.cause(error)
            message = f"{self._shown}: the download stopped after {self._done} bytes: {said}"
            raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message) from error
        self._done += size
        return body
