"""The model server of this pod, through V2 endpoints: load, unload, ask. Callers: workers, syncs.

Every request has a connection of its own, so that a refused connection (the server is not
there) is never mistaken for a broken one (the server died of this request). One more is held
open, as `line`: its end tells of the server's.
"""

import asyncio
import json
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    ServerDisconnectedError,
    TCPConnector,
)

from shoal.agent.errors import ServerDownError, ServerRefusedError
from shoal.agent.lines import Line

_READY_SECONDS = 10.0  # some servers answer nobody while they load
_UNLOAD_SECONDS = 30.0
_CONFIRM_SECONDS = 10.0
_CONFIRM_STEP = 0.05
_LONGEST_WORDS = 300
_OK = 200
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str


class Server:
    """The model server behind one URL."""

    def __init__(self, url: str, load_seconds: float) -> None:
        self._url = url
        self._load_seconds = load_seconds
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._session = ClientSession(connector=TCPConnector(force_close=True, limit=32))
        self.line = Line(self._host, self._port)

    async def close(self) -> None:
        """Close what is open."""
        self.line.drop()
        await self._session.close()

    async def is_listening(self) -> bool:
        """Tell whether a connection is accepted, within a second."""
        try:
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def is_ready(self, model: str, seconds: float = _READY_SECONDS) -> bool:
        """Ask for one model.

        Raises:
            ServerDownError: no answer within so many seconds.
        """
        timeout = ClientTimeout(total=seconds)
        try:
            answer = await self._ask("GET", f"/v2/models/{quote(model, safe='')}/ready", timeout)
        except (ClientError, OSError) as error:
            raise ServerDownError("the model server does not answer") from error
        return answer.status == _OK

    async def load(self, model: str) -> None:
        """Load a model, or load it again, and see it ready.

        Raises:
            ServerDownError: nobody listens; nothing was asked.
            ServerRefusedError: it was refused, took too long or did not become ready.
        """
        try:
            answer = await self._repository(model, "load", self._load_seconds)
        except TimeoutError as error:
            message = f"no answer to load within {self._load_seconds:g} s"
            raise ServerRefusedError(message, in_doubt=True) from error
        if answer.status != _OK:
            raise ServerRefusedError(f"{_words(answer)} ({answer.status})")
        try:
            is_ready = await self._becomes(model, ready=True)
        except ServerDownError as error:
            message = "the model server stopped answering after load"
            raise ServerRefusedError(message, in_doubt=True) from error
        if not is_ready:
            raise ServerRefusedError("loaded, said the server, but it is not ready", in_doubt=True)

    async def unload(self, model: str) -> None:
        """Unload a model and see it gone; one that is not there is gone.

        Raises:
            ServerDownError: nobody listens; nothing was asked.
            ServerRefusedError: it was refused, or the model stays ready.
        """
        try:
            answer = await self._repository(model, "unload", _UNLOAD_SECONDS)
        except TimeoutError as error:
            message = f"no answer to unload within {_UNLOAD_SECONDS:g} s"
            raise ServerRefusedError(message, in_doubt=True) from error
        if answer.status not in {_OK, _NOT_FOUND} and await self.is_ready(model):
            raise ServerRefusedError(f"{_words(answer)} ({answer.status})")
        if not await self._becomes(model, ready=False):
            raise ServerRefusedError("unloaded, said the server, but it still answers")

    async def _repository(self, model: str, verb: str, seconds: float) -> _Answer:
        path = f"/v2/repository/models/{quote(model, safe='')}/{verb}"
        timeout = ClientTimeout(total=seconds, sock_connect=2)
        try:
            return await self._ask("POST", path, timeout)
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            raise ServerDownError("the model server does not listen") from error
        except TimeoutError:
            raise
        except (ServerDisconnectedError, ClientError, OSError) as error:
            message = f"the model server closed the connection during {verb}"
            raise ServerRefusedError(message, in_doubt=True) from error

    async def _ask(self, method: str, path: str, limits: ClientTimeout) -> _Answer:
        body = b"{}" if method == "POST" else None
        headers = {"Content-Type": "application/json"} if body else None
        async with self._session.request(
            method, self._url + path, data=body, headers=headers, timeout=limits
        ) as response:
            content = await response.content.read(64 * 1024)
            return _Answer(response.status, content.decode(errors="replace"))

    async def _becomes(self, model: str, *, ready: bool) -> bool:
        deadline = asyncio.get_running_loop().time() + _CONFIRM_SECONDS
        step = _CONFIRM_STEP
        while True:
            if await self.is_ready(model) is ready:
                return True
            if asyncio.get_running_loop().time() + step > deadline:
                return False
            await asyncio.sleep(step)
            step = min(1.0, step * 2)


def _words(answer: _Answer) -> str:
    text = answer.text
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if isinstance(body, dict):
        text = str(body.get("error") or body.get("detail") or body.get("message") or text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "refused without a word"
    # The first line of a traceback says nothing; its last one names the error.
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return line[:_LONGEST_WORDS]
