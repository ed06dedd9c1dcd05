"""From a model's address to a tree on disk. Callers: workers.

A few are fetched at once; those whose last try failed for the store's sake have places of their
own, so that a store that does not answer holds up no model of another one.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakValueDictionary

from shoal.agent import metrics
from shoal.agent.accounts import Accounts
from shoal.agent.rejections import Rejections
from shoal.agent.spaces import BusyError, Lease, Need, NoRoomError, Space
from shoal.agent.stores import Store
from shoal.modelconfig import Model
from shoal.reasons import Reason
from shoal.storage import archives, failures, gaps, threads, transfers, trees
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.jobs import Sums, Terms
from shoal.storage.limits import Limits
from shoal.storage.partials import written
from shoal.storage.sessions import Sessions
from shoal.storage.transfers import Source
from shoal.storage.uris import Location, Scheme

_LOG = logging.getLogger(__name__)
_SAME_SECONDS = 1.0


class _OutgrownError(Exception):
    """It took more than it was given, `size` bytes; `content` is its fingerprint."""

    def __init__(self, content: str, size: int) -> None:
        super().__init__(content, size)
        self.content = content
        self.size = size


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all downloads share: how many at once, the disk, and how much one may be."""

    at_once: int
    space: Space
    limits: Limits = field(default_factory=Limits)
    opened: transfers.Opened = transfers.opened


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be found, and who is told: of a download, and of the tree.

    `after` is what was not enough a moment ago.
    """

    model: Model
    location: Location
    known: Credentials
    on_start: Callable[[], None]
    hold: Callable[[str], object]
    after: int = 0

    @property
    def shown(self) -> str:
        return self.location.shown

    def may_grow(self, source: Source) -> bool:
        """Tell whether more may be written than is announced: it may be an archive."""
        is_link = self.location.scheme in {Scheme.HTTP, Scheme.HTTPS}
        return not source.size or is_link or bool(archives.kind(self.location.key))


class Fetcher:
    """Downloads, a bounded number at once."""

    def __init__(
        self, store: Store, accounts: Accounts, sessions: Sessions, bounds: Bounds
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._slots = asyncio.Semaphore(bounds.at_once)
        self._again = asyncio.Semaphore(bounds.at_once)
        self._failed: dict[tuple[str, str, str], tuple[float, FetchError]] = {}
        self._space = bounds.space
        self._limits = bounds.limits
        self._opened = bounds.opened
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._rejections = Rejections(time.monotonic)
        self._outgrown: dict[str, int] = {}  # by fingerprint: what was not enough for it

    @property
    def has_room_again(self) -> bool:
        """Tell whether one that failed may be tried again at once."""
        return not self._again.locked()

    async def fetch(
        self,
        model: Model,
        on_start: Callable[[], None],
        hold: Callable[[str], object],
        *,
        again: bool = False,
    ) -> str:
        """Make sure that the bytes which the address names now are held; return their tree.

        `on_start` is called when a download is really needed. `hold` is told of the tree before
        anybody else could find it unused. `again` tells that the store failed the last try.

        Raises:
            FetchError: no bytes.
        """
        location = transfers.parse(model.storage_uri)
        # What several models name is brought once: the others find it held, or failed.
        turn = self._turns.setdefault(location.uri, asyncio.Lock())
        async with turn, self._again if again else self._slots:
            wish = (location.uri, model.storage_secret, model.artifact_digest)
            self._raise_again(wish)
            try:
                known = await self._known(model, location)
                return await self._insist(_Order(model, location, known, on_start, hold))
            except FetchError as error:
                self._failed[wish] = (asyncio.get_running_loop().time(), error)
                raise

    def _raise_again(self, wish: tuple[str, str, str]) -> None:
        """Let those who waited meanwhile share a failure."""
        now = asyncio.get_running_loop().time()
        self._failed = {
            key: row for key, row in self._failed.items() if now - row[0] < _SAME_SECONDS
        }
        if wish in self._failed:
            raise self._failed[wish][1]

    async def _insist(self, order: _Order) -> str:
        """Find it, with more room where it took more than was thought."""
        while True:
            try:
                return await self._find(order)
            except _OutgrownError as error:
                order = replace(order, after=error.size)
                if error.content:
                    self._outgrown[error.content] = error.size

    async def _find(self, order: _Order) -> str:
        terms = Terms(order.model.artifact_digest, self._limits)
        async with self._opened(order.location, order.known, self._sessions, terms) as source:
            tree = self._store.source(source.fingerprint)
            if tree:
                order.hold(tree)
                return tree
            self._rejections.check(source.fingerprint)
            extra = {"model": order.model.name}
            _LOG.info("downloading model from %s", order.shown, extra=extra)
            order.on_start()
            tree = await self._download(order, source)
            self._outgrown.pop(source.fingerprint, None)
            return tree

    async def _known(self, model: Model, location: Location) -> Credentials:
        """Read the credentials; a Secret that the model names is the only one for it."""
        known = await self._accounts.read(model.storage_secret)
        if not model.storage_secret:
            return known
        if not known.secrets:
            message = f"Secret {model.storage_secret}: {'; '.join(known.missing)}"
            raise FetchError(Kind.TRANSIENT, Reason.CREDENTIALS_NOT_FOUND, message)
        if lack := gaps.find(known.secrets[0], location):
            raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, lack)
        return known

    async def _download(self, order: _Order, source: Source) -> str:
        partials = self._store.partials
        work = partials.take(source.fingerprint) or self._store.workplace()
        is_worth_keeping = False
        try:
            return await self._bring(order, source, work)
        except FetchError as error:
            is_worth_keeping = error.kind is Kind.TRANSIENT
            self._rejections.note(source.fingerprint, error)
            raise
        except (asyncio.CancelledError, _OutgrownError):
            is_worth_keeping = True
            raise
        finally:
            if not (partials.leave(work) and is_worth_keeping):
                # Others could drop it from now on, and would find it half removed.
                rubbish = self._store.scrap(work)
                await asyncio.shield(threads.run(source.size, self._store.discard, rubbish))

    async def _bring(self, order: _Order, source: Source, work: Path) -> str:
        need = Need(
            size=source.size,
            grows=order.may_grow(source),
            after=max(order.after, self._outgrown.get(source.fingerprint, 0)),
            written=written(work),
        )
        try:
            async with self._space.lease(need) as lease:
                sums = await _fill(source, work, need, lease)
                return await self._adopt(order, source, work, lease, sums)
        except NoRoomError as error:
            kind = Kind.TRANSIENT if isinstance(error, BusyError) else Kind.PERMANENT
            message = f"{order.shown}: {error}"
            raise FetchError(kind, Reason.STORE_FULL, message) from error
        except OSError as error:
            raise failures.of_disk(order.shown, error, self._space.room()) from error

    async def _adopt(
        self, order: _Order, source: Source, work: Path, lease: Lease, sums: Sums
    ) -> str:
        if trees.is_empty(work / transfers.TREE):
            message = f"{order.shown}: there is no file in it"
            raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
        tree, size = await threads.run(lease.size, self._store.seal, work, sums)
        order.hold(tree)
        await self._space.extend(lease, size)
        self._store.adopt(work, tree, size, source.fingerprint)
        return tree


async def _fill(source: Source, work: Path, need: Need, lease: Lease) -> Sums:
    """Download into the folder, within the lease."""

    def count(more: int) -> None:
        metrics.FETCHED_BYTES.inc(more)
        lease.count(more)

    try:
        return await source.download(work, lease.size - lease.written, count)
    except FetchError as error:
        if need.grows and error.reason is Reason.STORE_FULL:
            raise _OutgrownError(source.fingerprint, lease.size) from error
        raise
