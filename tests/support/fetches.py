"""A download without an agent around it: what `storage.transfers` brings of an address."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import AddrInfoType, ClientSession, TCPConnector

from shoal.storage import jobs, transfers
from shoal.storage.credentials import Credentials
from shoal.storage.sessions import Sessions
from support.closings import closed

ROOM = 1 << 30


@dataclass(frozen=True)
class Terms(jobs.Terms):
    """A download's terms, and whose certificates are trusted for it."""

    authority: Path | None = None

    @asynccontextmanager
    async def sessions(self) -> AsyncIterator[Sessions]:
        """Make a client; its connections are closed after the block."""
        made: list[socket.socket] = []

        def make(address: AddrInfoType) -> socket.socket:
            family, kind, protocol, _, _ = address
            made.append(socket.socket(family, kind, protocol))
            return made[-1]

        trusted = ssl.create_default_context(cafile=self.authority) if self.authority else True
        connector = TCPConnector(ssl=trusted, socket_factory=make)
        try:
            async with ClientSession(connector=connector) as session:
                yield Sessions(lambda: session)
        finally:
            await closed(made)


async def fetch(
    uri: str,
    work: Path,
    known: Credentials | None = None,
    room: int = ROOM,
    terms: Terms | None = None,
) -> dict[str, bytes]:
    """Download an address; return what came of it."""
    _make(work)
    location, known, terms = transfers.parse(uri), known or Credentials(), terms or Terms()
    async with (
        terms.sessions() as sessions,
        transfers.opened(location, known, sessions, terms) as source,
    ):
        await source.download(work, room, lambda _: None)
    tree = work / transfers.TREE
    found = (path for path in tree.rglob("*") if path.is_file())
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in found}


async def fingerprint(uri: str, known: Credentials) -> str:
    """Ask what an address names now."""
    async with (
        Terms().sessions() as sessions,
        transfers.opened(transfers.parse(uri), known, sessions, Terms()) as source,
    ):
        return source.fingerprint


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
