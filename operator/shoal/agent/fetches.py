"""From a model's address to a tree on disk. Callers: workers."""

import asyncio
import errno
import logging
from collections.abc import Callable
from pathlib import Path

from aiohttp import ClientSession

from shoal.agent import metrics
from shoal.agent.accounts import Accounts
from shoal.agent.stores import Store
from shoal.modelconfig import Model
from shoal.reasons import Reason
from shoal.storage import transfers, trees
from shoal.storage.failures import FetchError, Kind
from shoal.storage.transfers import Source

_LOG = logging.getLogger(__name__)
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Fetcher:
    """Downloads, a bounded number at once."""

    def __init__(
        self, store: Store, accounts: Accounts, session: ClientSession, at_once: int
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._session = session
        self._slots = asyncio.Semaphore(at_once)

    async def fetch(
        self, model: Model, on_start: Callable[[], None], hold: Callable[[str], None]
    ) -> str:
        """Make sure that the bytes which the address names now are held; return their tree.

        `on_start` is called when a download is really needed. `hold` is told of the tree before
        anybody else could find it unused.

        Raises:
            FetchError: no bytes.
        """
        location = transfers.parse(model.storage_uri)
        async with self._slots:
            known = await self._accounts.read()
            async with transfers.opened(location, known, self._session) as source:
                tree = self._store.source(source.fingerprint)
                if not tree:
                    _LOG.info(
                        "downloading model from %s", location.shown, extra={"model": model.name}
                    )
                    on_start()
                    return await self._download(source, location.shown, hold)
                hold(tree)
                return tree

    async def _download(self, source: Source, shown: str, hold: Callable[[str], None]) -> str:
        room = self._store.room()
        if source.size > room:
            message = f"{shown}: {source.size} bytes to download, {room} bytes free"
            raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
        work = self._store.workplace()
        try:
            with self._store.reserved(source.size):
                await source.download(work, room, metrics.FETCHED_BYTES.inc)
                return await self._adopt(source, work, shown, hold)
        except OSError as error:
            raise _disk_failure(shown, error, room) from error
        finally:
            await asyncio.shield(asyncio.to_thread(self._store.discard, work))

    async def _adopt(
        self, source: Source, work: Path, shown: str, hold: Callable[[str], None]
    ) -> str:
        if trees.is_empty(work / transfers.TREE):
            message = f"{shown}: there is no file in it"
            raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
        tree = await asyncio.to_thread(self._store.seal, work)
        hold(tree)
        self._store.adopt(work, tree, source.fingerprint)
        return tree


def _disk_failure(shown: str, error: OSError, room: int) -> FetchError:
    if error.errno in _NO_ROOM:
        message = f"{shown}: the disk is full; {room} bytes were free at the start"
        return FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
    message = f"{shown}: cannot be written: {error.strerror or error}"
    return FetchError(Kind.UNKNOWN, Reason.DOWNLOAD_FAILED, message)
