"""One idle connection to the model server, whose end tells at once of the server's end.

It is a connection on which a request was answered, kept open: a server that takes one client
at a time closes it after the answer, and is then looked at now and then only. Caller: servers.
"""

import asyncio

_OPEN_SECONDS = 1.0
_SHORT_SECONDS = 0.5  # a server that keeps a connection for no longer keeps none
_AGAIN_SECONDS = 600.0  # after which such a server is tried again
_CHUNK = 64 * 1024


class Line:
    """The connection; opened by `wait` where it is not open."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._opened = 0.0
        self._not_before = 0.0

    async def wait(self, seconds: float) -> None:
        """Return when the server ends the connection, at the latest after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._ended():
                    pass
        except TimeoutError:
            return

    def drop(self) -> None:
        """Close it; the next `wait` opens another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
        self._not_before = 0.0

    def shun(self) -> None:
        """Close it for long: this server does not bear it."""
        self.drop()
        self._not_before = asyncio.get_running_loop().time() + _AGAIN_SECONDS

    async def _ended(self) -> bool:
        """Wait for a word of the server: its answer, or its end."""
        loop = asyncio.get_running_loop()
        if self._reader is None:
            await asyncio.sleep(self._not_before - loop.time())
            await self._open()
        if self._reader is None:
            return True
        try:
            if await self._reader.read(_CHUNK):
                return False
        except OSError:
            pass  # reset: an end as well
        is_short = loop.time() - self._opened < _SHORT_SECONDS
        (self.shun if is_short else self.drop)()
        return True

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError):
            return
        self._opened = asyncio.get_running_loop().time()
        host = f"{self._host}:{self._port}"
        self._writer.write(f"GET /v2/health/live HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
