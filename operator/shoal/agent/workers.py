"""One model on one replica: passes that look, decide one step and take it, until none is left.

```
 pass:  look at disk and server ──► plans.make ──► KEEP: say that it is loaded, done
                                        ├─ FETCH: download beside, then load
                                        ├─ LOAD:  note "unsure" ──► flip the link ──► load ──► note
                                        │           └─ refused: flip back, load the old if lost
                                        └─ UNLOAD: unload ──► remove link ──► forget
 a failure: say so, wait (less when something changes), pass again
```

A worker's task runs only while there is something to do. Callers: syncs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shoal.agent import metrics, plans, retries
from shoal.agent.boards import Board
from shoal.agent.errors import ServerDownError, ServerRefusedError
from shoal.agent.fetches import Fetcher
from shoal.agent.lanes import Lanes
from shoal.agent.loaders import Loader
from shoal.agent.plans import Held, Record, Step, Version
from shoal.agent.rows import Row
from shoal.agent.servers import Server
from shoal.agent.stores import Store
from shoal.modelconfig import Model
from shoal.modelstates import State
from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind

_LOG = logging.getLogger(__name__)
_SERVER_SECONDS = 0.2
_SOON_SECONDS = 1.0  # for which a model may be without its old version while the new one comes
_LATER_SECONDS = 15.0


class _SupersededError(Exception):
    """Another version is wanted by now."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all workers share."""

    store: Store
    server: Server
    fetcher: Fetcher
    board: Board
    turns: asyncio.Semaphore  # bounds the looks under way; nobody holds one who waits for others
    newcomers: asyncio.Semaphore  # bounds those that nothing can go wrong with while they wait
    lanes: Lanes
    server_up: asyncio.Event
    draw: Callable[[], float]


class Worker:
    """Keeps one model as wanted."""

    def __init__(self, name: str, tools: Tools, on_idle: Callable[["Worker"], None]) -> None:
        self.name = name
        self.wanted: Model | None = None
        self._tools = tools
        self._on_idle = on_idle
        self._loader = Loader(name, tools.store, tools.server)
        self._row = Row(name, tools.board, self._loader)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_slow = False  # its last load took long, and failed

    @property
    def loaded(self) -> str:
        """The digest that the server answers with, "" for none."""
        return self._loader.loaded

    @property
    def is_busy(self) -> bool:
        """Tell whether a load or unload is under way."""
        return self._loader.is_busy

    @property
    def is_gone(self) -> bool:
        """Tell whether nothing of it is wanted, there or under way."""
        idle = self._task is None or self._task.done()
        return self.wanted is None and idle and not self._row.is_there

    def want(self, model: Model | None) -> None:
        """Take a new wish; the same one changes nothing, another Secret only what has failed."""
        before = self.wanted
        self.wanted = model
        if model is None or before is None or model.digest != before.digest:
            self._row.attempt = 0
            self._is_slow = False
            self._loader.refused = ""
            if model is not None:
                self._row.show_waiting(model)
            self.poke()
        elif model.storage_secret != before.storage_secret and self.loaded != model.digest:
            self._row.attempt = 0
            self.poke()

    def poke(self) -> None:
        """Look again, now."""
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def lose(self, message: str) -> None:
        """Take note that the server does not answer with it any more."""
        if not self.loaded:
            return
        self._loader.loaded = ""
        self._row.lose(self.wanted, message)

    async def stop(self) -> None:
        """Stop where it is; disk and notes are fit for a restart at any line."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wanted = self.wanted
            try:
                is_done = await self._pass(wanted)
            except _SupersededError:
                continue
            except ServerDownError:
                await self._await_server()
                continue
            except Exception as error:  # noqa: BLE001 - one model's trouble must stay its own
                if not self._is_wish(wanted):
                    continue  # what fails is not wanted any more
                await self._fail(error)
                continue
            if is_done and not self._wake.is_set():
                self._task = None
                self._on_idle(self)
                return

    async def _pass(self, wanted: Model | None) -> bool:
        held = await self._look()
        serves = plans.serves(held) and held.record is not None
        loaded = held.record.loaded if serves and held.record else None
        self._loader.loaded = loaded.digest if loaded else ""
        step = plans.make(wanted, held)
        if wanted is None:
            await self._end(step, held)
            return True
        if step is Step.WAIT:
            raise ServerDownError("the model server does not answer")
        if step is Step.KEEP:
            self._row.attempt = 0
            self._tools.store.unpin(self.name)
            self._row.show(self.wanted, State.LOADED, Reason.LOADED)
            return True
        tree = await self._tree(step, wanted, held)
        if step is Step.FETCH and held.record:
            held = await self._look()  # it may have taken hours
        await self._load(wanted, held, tree)
        return False

    async def _end(self, step: Step, held: Held) -> None:
        """Do what is to be done about a model that is not wanted."""
        if step is Step.UNLOAD:
            await self._unload(held)
        self._tools.store.unpin(self.name)
        if self.wanted is None:
            self._row.remove()

    async def _look(self) -> Held:
        async with self._tools.turns:
            held = self._tools.store.held(self.name)
            if held.record is None or held.record.loaded is None:
                return held
            return replace(held, ready=await self._ask())

    async def _ask(self) -> bool | None:
        if not self._tools.server_up.is_set():
            return None
        try:
            return await self._tools.server.is_ready(self.name)
        except ServerDownError:
            return None

    async def _tree(self, step: Step, wanted: Model, held: Held) -> str:
        if step is Step.LOAD and held.record and held.record.loaded:
            return held.record.loaded.tree
        try:
            if held.record and held.record.loaded:
                return await self._fetch(wanted, _SOON_SECONDS)
            async with self._tools.newcomers:
                self._check_order(wanted)
                return await self._fetch(wanted)
        except FetchError as error:
            tree = plans.fallback(wanted, held)
            if error.kind is not Kind.TRANSIENT or not tree:
                raise
            if not self._tools.store.pin(self.name, tree):
                raise  # it went for room, meanwhile
            _LOG.warning("using the bytes held of model %s: %s", self.name, error.message)
            return tree

    async def _fetch(self, wanted: Model, patience: float | None = None) -> str:
        """Fetch what is wanted; where that takes more than `patience`, see the old one served."""

        def on_start() -> None:
            self._row.show(self.wanted, State.DOWNLOADING, Reason.DOWNLOADING)

        def pin(tree: str) -> None:
            self._tools.store.pin(self.name, tree)

        again = self._row.failure if self._row.attempt else None
        is_again = again is not None and again.kind is Kind.TRANSIENT
        if again and is_again and not self._tools.fetcher.has_room_again:
            raise again.with_traceback(None)  # else it grows by one with each raise
        fetch = asyncio.ensure_future(
            self._tools.fetcher.fetch(wanted, on_start, pin, again=is_again)
        )
        try:
            await self._attend(fetch, wanted, patience)
            return fetch.result()
        finally:
            if not fetch.done():
                fetch.cancel()
                with contextlib.suppress(asyncio.CancelledError, FetchError):
                    await fetch

    async def _attend(
        self, fetch: asyncio.Future[str], wanted: Model, seconds: float | None
    ) -> None:
        while not fetch.done():
            wake = asyncio.ensure_future(self._wake.wait())
            waits: set[asyncio.Future[Any]] = {fetch, wake}
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            wake.cancel()
            if not fetch.done():
                self._wake.clear()
                self._check_order(wanted)
                if seconds is not None:
                    await self._keep_old(wanted)
                    seconds = _LATER_SECONDS

    def _check_wish(self, wanted: Model) -> None:
        if not self._is_wish(wanted):
            raise _SupersededError

    def _is_wish(self, model: Model | None) -> bool:
        """Tell whether it is still wanted as it was."""
        if self.wanted is None or model is None:
            return self.wanted is model
        return self.wanted.digest == model.digest

    def _check_order(self, wanted: Model) -> None:
        self._check_wish(wanted)
        if self.wanted and self.wanted.storage_secret != wanted.storage_secret:
            raise _SupersededError

    async def _load(self, wanted: Model, held: Held, tree: str) -> None:
        record = held.record or Record()
        old = record.loaded
        version = Version(wanted.digest, tree)
        if plans.serves(held) and old and old.tree == tree:
            # The same bytes under another address: the server has them already.
            self._tools.store.note(self.name, Record(version, record.previous))
            _LOG.info(
                "model %s: the bytes that are served are wanted still; nothing is loaded again",
                self.name,
                extra={"model": self.name},
            )
            return
        self._spare(held, tree)
        self._need_server()
        async with self._tools.lanes.load(aside=self._is_slow) as place:
            self._check_wish(wanted)
            self._row.show(self.wanted, State.LOADING, Reason.LOADING)
            try:
                await self._loader.switch(record, version)
            except ServerRefusedError:
                self._is_slow = place.is_aside
                raise
        metrics.LOADS.inc()
        _LOG.info("loaded model %s", self.name, extra={"model": self.name})

    def _spare(self, held: Held, tree: str) -> None:
        """Do not offer refused bytes again and again while an old version answers.

        Nor those that hang, while others that hang are at it.
        """
        is_refused = tree == self._loader.refused and plans.serves(held)
        must_wait = self._is_slow and not self._tools.lanes.has_room_aside
        again, attempt = self._row.failure, self._row.attempt
        if again and (must_wait or (is_refused and not retries.may_offer(attempt))):
            raise again.with_traceback(None)

    async def _unload(self, held: Held) -> None:
        store = self._tools.store
        self._loader.loaded = ""  # from any moment on, also for who wants it again
        self._row.show(self.wanted, State.UNLOADING, Reason.PENDING)
        if held.record is None:
            store.note(self.name, Record(sure=False))  # still known when its link has gone
        try:
            self._need_server()
            async with self._tools.lanes.unloads:
                if self.wanted is not None:
                    raise _SupersededError
                await self._loader.unload()
        except ServerDownError:
            # A server that starts must not find it; its bytes stay until unload is confirmed.
            store.unlink(self.name)
            raise
        store.unlink(self.name)
        store.forget(self.name)
        metrics.UNLOADS.inc()
        _LOG.info("unloaded model %s", self.name, extra={"model": self.name})

    def _need_server(self) -> None:
        if not self._tools.server_up.is_set():
            raise ServerDownError("the model server does not listen")

    async def _await_server(self) -> None:
        message = "waiting for the model server"
        if self.wanted is not None:
            self._loader.loaded = ""
            self._row.show(self.wanted, State.PENDING, Reason.SERVER_UNAVAILABLE, message)
        else:
            self._row.correct(message=message)
        await asyncio.sleep(_SERVER_SECONDS)  # the flag below may be older than the refusal
        tools = self._tools
        waits = {asyncio.ensure_future(each.wait()) for each in (tools.server_up, self._wake)}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _fail(self, error: Exception) -> None:
        failing = self.wanted
        failure = retries.failure(error)
        self._row.attempt += 1
        metrics.FAILURES.labels(failure.reason.value).inc()
        self._log_failure(failure, error)
        self._row.failure = failure
        seconds = retries.delay(failure.kind, self._row.attempt, self._tools.draw())
        self._row.show_failure(failing, failure, seconds)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self.wanted == failing and loop.time() < deadline:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._wake.clear()
            if self.wanted == failing and failing is not None:
                await self._keep_old(failing)

    async def _keep_old(self, failing: Model) -> None:
        """Bring the old version back if the server lost it, while the new one waits."""
        held = await self._look()
        old = held.record.loaded if held.record else None
        if old is None or held.ready is None or old.tree not in held.trees:
            return
        if old.digest == failing.digest:
            return
        try:
            async with self._tools.lanes.load():
                if held.record and not plans.serves(held):
                    doubt = not held.record.sure or held.link != old.tree
                    await self._loader.restore(held.record, old, in_doubt=doubt)
        except (ServerRefusedError, ServerDownError, OSError) as error:
            _LOG.warning("cannot bring the old model %s back: %s", self.name, error)
            return
        self._loader.loaded = old.digest
        self._row.correct(loaded=old.digest)

    def _log_failure(self, failure: FetchError, error: Exception) -> None:
        known = isinstance(error, (FetchError, ServerRefusedError, OSError))
        before = self._row.failure
        again = before is not None and before.message == failure.message
        level = logging.DEBUG if again and self._row.attempt > 1 else logging.WARNING
        verb = "unload" if self.wanted is None else "load"
        _LOG.log(
            level,
            "failed to %s model %s: %s",
            verb,
            self.name,
            failure.message,
            extra={"model": self.name, "reason": failure.reason.value},
            exc_info=None if known else error,
        )
