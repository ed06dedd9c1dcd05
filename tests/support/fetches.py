"""A download without an agent around it: what `storage.transfers` brings of an address."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession, TCPConnector

from shoal.storage import transfers
from shoal.storage.credentials import Credentials
from shoal.storage.limits import Limits

ROOM = 1 << 30


@dataclass(frozen=True)
class Terms:
    """What is promised of a model and how much it may be; whose certificates are trusted."""

    digest: str = ""
    limits: Limits | None = None
    authority: Path | None = None

    def session(self) -> ClientSession:
        """Make a client."""
        if self.authority is None:
            return ClientSession()
        return ClientSession(
            connector=TCPConnector(ssl=ssl.create_default_context(cafile=self.authority))
        )


async def fetch(
    uri: str,
    work: Path,
    known: Credentials | None = None,
    room: int = ROOM,
    terms: Terms | None = None,
) -> dict[str, bytes]:
    """Download an address; return what came of it."""
    _make(work)
    given = terms or Terms()
    async with (
        given.session() as session,
        transfers.opened(
            transfers.parse(uri),
            known or Credentials(),
            session,
            digest=given.digest,
            limits=given.limits,
        ) as source,
    ):
        await source.download(work, room, lambda _: None)
    tree = work / transfers.TREE
    found = (path for path in tree.rglob("*") if path.is_file())
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in found}


async def fingerprint(uri: str, known: Credentials) -> str:
    """Ask what an address names now."""
    async with (
        ClientSession() as session,
        transfers.opened(transfers.parse(uri), known, session) as source,
    ):
        return source.fingerprint


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
