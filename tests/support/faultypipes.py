"""A TCP proxy that breaks connections as told, in front of a server that does not."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cluster.certificates import Pair
from support import loops

_CHUNK = 65536
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Pipe:
    """What passes, and what happens when `left` bytes of answers have."""

    server: int
    port: int = 0
    fault: str = ""  # "reset", "close", "hang" or "busy"
    left: int = 0
    carried: int = 0
    pace: float = 0  # seconds to wait for each piece of an answer
    scheme: str = "http"

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def break_after(self, fault: str, left: int) -> None:
        """Break every connection once so many more bytes of answers have passed."""
        self.left, self.fault = left, fault

    def heal(self) -> None:
        """Break none any more."""
        self.fault = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        with contextlib.suppress(OSError):
            if self.fault == "busy":
                await reader.read(_CHUNK)
                writer.write(_BUSY)
                await writer.drain()
                writer.close()
                return
            back, forth = await asyncio.open_connection("127.0.0.1", self.server)
            there = asyncio.ensure_future(_copy(reader, forth))
            try:
                await self._answers(back, writer)
            finally:
                there.cancel()
                forth.transport.abort()
                if not writer.transport.is_closing():
                    writer.close()

    async def _answers(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await back.read(_CHUNK):
            if self.fault and self.left < len(block):
                await self._break(writer, block[: self.left])
                return
            self.left -= len(block)
            self.carried += len(block)
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(self.pace)

    async def _break(self, writer: asyncio.StreamWriter, last: bytes) -> None:
        self.left = 0
        writer.write(last)
        await writer.drain()
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "reset":
            await asyncio.sleep(0.2)  # what was sent is read first: a reset drops the rest
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(_CHUNK):
            writer.write(block)
            await writer.drain()


@contextlib.contextmanager
def running(server: int, tls: Pair | None = None) -> Iterator[Pipe]:
    """Run a proxy in front of a port until the context ends; with a certificate it speaks TLS."""
    pipe = Pipe(server, scheme="https" if tls else "http")
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
    with loops.serving(pipe.serve, context) as pipe.port:
        yield pipe
