"""One model's bytes and the server brought together: load, flip back, unload.

Caller: workers.

The note on disk is "unsure" from before a load is called until it is confirmed, so that an agent
killed in between loads again instead of believing.
"""

import contextlib
from dataclasses import replace

from shoal.agent.errors import ServerDownError, ServerRefusedError
from shoal.agent.plans import Record, Version
from shoal.agent.servers import Server
from shoal.agent.stores import Store


class Loader:
    """What the server answers with for one model."""

    def __init__(self, name: str, store: Store, server: Server) -> None:
        self.loaded = ""  # the digest that the server answers with
        self.refused = ""  # the tree that the server refused last
        self.is_busy = False  # a load or unload is under way
        self.coming = ""  # the digest that is being loaded in the place of `loaded`
        self._name = name
        self._store = store
        self._server = server

    async def switch(self, record: Record, version: Version) -> None:
        """Flip the link to a version and load it; if it is refused, the old one answers again.

        Raises:
            ServerDownError: nobody listens.
            ServerRefusedError: the server's words.
        """
        self._store.note(self._name, replace(record, sure=False))
        self.is_busy = True
        self.coming = version.digest
        try:
            self._store.link(self._name, version.tree)
            await self._server.load(self._name)
        except ServerRefusedError as error:
            self.refused = version.tree
            # A load before this one may have come to an end since, unseen.
            await self._back(record, version, in_doubt=error.in_doubt or not record.sure)
            raise
        finally:
            self.is_busy = False
            self.coming = ""
        old = record.loaded
        previous = old if old and old.tree != version.tree else record.previous
        self._store.note(self._name, Record(version, previous))
        self.loaded = version.digest

    async def restore(self, record: Record, old: Version, *, in_doubt: bool) -> None:
        """Make the old version answer; it is loaded only when the server lost it, or may have.

        Raises:
            ServerDownError: nobody listens.
            ServerRefusedError: the server's words.
        """
        self._store.link(self._name, old.tree)
        self.is_busy = True
        try:
            if in_doubt or not await self._server.is_ready(self._name):
                await self._server.load(self._name)
        finally:
            self.is_busy = False
        self._store.note(self._name, replace(record, sure=True))
        self.loaded = old.digest

    async def unload(self) -> None:
        """Unload the model, and see it gone.

        Raises:
            ServerDownError: nobody listens.
            ServerRefusedError: the server's words.
        """
        self.is_busy = True
        try:
            await self._server.unload(self._name)
        finally:
            self.is_busy = False
        self.loaded = ""

    async def _back(self, record: Record, refused: Version, *, in_doubt: bool) -> None:
        old = record.loaded
        self.loaded = ""
        if old is None:
            # A server that reads all folders at its start must not trip over this one.
            self._store.unlink(self._name)
            if not in_doubt:
                self._store.forget(self._name)
        elif old.tree != refused.tree and old.tree in self._store.held(self._name).trees:
            with contextlib.suppress(ServerRefusedError, ServerDownError):
                await self.restore(record, old, in_doubt=in_doubt)
