"""A web server that misbehaves as told: each path has a script of answers, the last one stays."""

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cluster.certificates import Authority
from support import loops

_CHUNK = 65536


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]  # names in lower case


@dataclass
class Wire:
    """The way back to who asked."""

    asked: Asked
    writer: asyncio.StreamWriter

    async def send(self, body: bytes) -> None:
        """Send bytes as they are."""
        for at in range(0, len(body), _CHUNK):
            self.writer.write(body[at : at + _CHUNK])
            await self.writer.drain()

    async def head(self, status: str, version: str = "1.1", **headers: object) -> None:
        """Send a status line and headers; underscores in names become dashes."""
        rows = [f"HTTP/{version} {status}"]
        rows += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*rows, "", ""]).encode())

    def reset(self) -> None:
        """End the connection as a crashed peer does."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Answer = Callable[[Wire], Awaitable[None]]


@dataclass
class Site:
    """The server; it runs in a thread of its own, so that agents can ask it too."""

    url: str
    scripts: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    authority: Path | None = None

    def plan(self, path: str, *answers: Answer) -> str:
        """Say what a path answers, in turn; return its address."""
        self.scripts[path] = list(answers)
        return f"{self.url}{path}"

    def seen(self, path: str) -> list[Asked]:
        """List what was asked of a path."""
        return [each for each in self.asked if each.path.partition("?")[0] == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                await self._serve(reader, writer)
            finally:
                if not writer.transport.is_closing():
                    writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.transport.is_closing():
            asked = _parse(await reader.readuntil(b"\r\n\r\n"))
            self.asked.append(asked)
            script = self.scripts[asked.path.partition("?")[0]]
            answer = script.pop(0) if len(script) > 1 else script[0]
            await answer(Wire(asked, writer))


def _parse(head: bytes) -> Asked:
    first, *rows = head.decode("latin-1").split("\r\n")
    pairs = (row.partition(":") for row in rows if row)
    return Asked(first.split()[1], {name.lower(): value.strip() for name, _, value in pairs})


@contextlib.contextmanager
def running(folder: Path, *, tls: bool = False) -> Iterator[Site]:
    """Run a server until the context ends."""
    site = Site("")
    context = None
    if tls:
        authority = Authority(folder)
        pair = authority.issue("site", "/CN=site", hosts=["DNS:localhost", "IP:127.0.0.1"])
        site.authority = authority.ca().certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
    with loops.serving(site.serve, context, limit=1 << 20) as port:
        site.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield site


def whole(content: bytes, etag: str = '"v1"', **headers: object) -> Answer:
    """Answer as a good server does, with ranges; no tag: nothing to go on by."""

    async def answer(wire: Wire) -> None:
        more = dict(headers)
        if etag:
            more |= {"ETag": etag, "Accept_Ranges": "bytes"}
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", wire.asked.headers.get("range", ""))
        if not found or wire.asked.headers.get("if-range", etag) != etag or not etag:
            await wire.head("200 OK", Content_Length=len(content), **more)
            await wire.send(content)
            return
        start, end = int(found[1]), int(found[2]) + 1
        span = f"bytes {start}-{end - 1}/{len(content)}"
        size = end - start
        await wire.head("206 Partial", Content_Length=size, Content_Range=span, **more)
        await wire.send(content[start:end])

    return answer


def status(line: str, **headers: object) -> Answer:
    """Refuse."""

    async def answer(wire: Wire) -> None:
        await wire.head(line, Content_Length=0, **headers)

    return answer


def broken(
    content: bytes, at: int, how: str, announced: int | None = None, etag: str = '"v1"'
) -> Answer:
    """Send so many bytes, then: "close", "reset" or "hang"."""

    async def answer(wire: Wire) -> None:
        size = len(content) if announced is None else announced
        await wire.head("200 OK", Content_Length=size, ETag=etag, Accept_Ranges="bytes")
        await wire.send(content[:at])
        if how == "hang":
            await asyncio.sleep(3600)
        elif how == "reset":
            await asyncio.sleep(0.5)  # what was sent arrives first
            wire.reset()
        else:
            wire.writer.close()

    return answer


async def silent(_: Wire) -> None:
    """Take the request and say nothing."""
    await asyncio.sleep(3600)


def slow(content: bytes, pieces: int, pause: float) -> Answer:
    """Send in pieces with pauses between."""

    async def answer(wire: Wire) -> None:
        await wire.head("200 OK", Content_Length=len(content))
        step = max(1, len(content) // pieces)
        for at in range(0, len(content), step):
            await wire.send(content[at : at + step])
            await asyncio.sleep(pause)

    return answer


def old(content: bytes) -> Answer:
    """Answer as HTTP/1.0 does: no length, the end of the connection is the end of the file."""

    async def answer(wire: Wire) -> None:
        await wire.head("200 OK", "1.0", Content_Type="application/octet-stream")
        await wire.send(content)
        wire.writer.close()

    return answer


def half_ranges(content: bytes, at: int, etag: str = '"v1"') -> Answer:
    """Answer a range with so many of its bytes, then reset."""

    async def answer(wire: Wire) -> None:
        start, end = map(int, wire.asked.headers["range"].removeprefix("bytes=").split("-"))
        span = f"bytes {start}-{end}/{len(content)}"
        await wire.head(
            "206 Partial", Content_Length=end + 1 - start, Content_Range=span, ETag=etag
        )
        await wire.send(content[start : min(end + 1, start + at)])
        await asyncio.sleep(0.2)  # what was sent arrives first
        wire.reset()

    return answer


def no_ranges(content: bytes, **headers: object) -> Answer:
    """Promise ranges and have none."""

    async def answer(wire: Wire) -> None:
        await wire.head("200 OK", Content_Length=len(content), Accept_Ranges="bytes", **headers)
        await wire.send(content)

    return answer
