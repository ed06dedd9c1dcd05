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
from datetime import timedelta

from shoal.agent import boards, metrics, plans, retries
from shoal.agent.boards import Board
from shoal.agent.fetches import Fetcher
from shoal.agent.loaders import Loader
from shoal.agent.plans import Held, Record, Step, Version
from shoal.agent.servers import Server, ServerDownError, ServerRefusedError
from shoal.agent.stores import Store
from shoal.modelconfig import Model
from shoal.modelstates import ModelState, State
from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind

_LOG = logging.getLogger(__name__)
_SERVER_SECONDS = 0.2
# While an old version answers, bytes that were refused this often are rarely offered again:
# some servers drop the old model when a load fails.
_PATIENT_AFTER = 3
_OFFER_EVERY = 10


class _SupersededError(Exception):
    """Another version is wanted by now."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all workers share."""

    store: Store
    server: Server
    fetcher: Fetcher
    board: Board
    turns: asyncio.Semaphore  # bounds the passes under way, and so the memory of a burst
    load_slots: asyncio.Semaphore
    server_up: asyncio.Event
    draw: Callable[[], float]


class Worker:
    """Keeps one model as wanted."""

    def __init__(self, name: str, tools: Tools, on_idle: Callable[["Worker"], None]) -> None:
        self.name = name
        self.wanted: Model | None = None
        self.holding = ""  # a tree that nothing on disk refers to yet
        self.has_rubbish = False  # bytes may be held that nobody needs any more
        self._tools = tools
        self._on_idle = on_idle
        self._loader = Loader(name, tools.store, tools.server)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._attempt = 0
        self._failure: FetchError | None = None

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
        return self.wanted is None and idle and self._tools.board.get(self.name) is None

    def want(self, model: Model | None) -> None:
        """Take a new wish; the same one changes nothing."""
        before = self.wanted.digest if self.wanted else ""
        self.wanted = model
        if model is None or model.digest != before:
            self._attempt = 0
            self._loader.refused = ""
            if model is not None:
                self._show(State.PENDING, Reason.PENDING, "waiting for its turn")
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
        state = self._tools.board.get(self.name)
        if state and state.state is State.LOADED:
            self._show(State.PENDING, Reason.SERVER_UNAVAILABLE, message)
        elif state:
            self._tools.board.set(self.name, replace(state, loaded=""), lasting=self._is_lasting())

    async def stop(self) -> None:
        """Stop where it is; disk and notes are fit for a restart at any line."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                async with self._tools.turns:
                    is_done = await self._pass()
            except _SupersededError:
                continue
            except ServerDownError:
                await self._await_server()
                continue
            except Exception as error:  # noqa: BLE001 - one model's trouble must stay its own
                await self._fail(error)
                continue
            if is_done and not self._wake.is_set():
                self._task = None
                self._on_idle(self)
                return

    async def _pass(self) -> bool:
        wanted = self.wanted
        held = await self._look()
        serves = plans.serves(held) and held.record is not None
        loaded = held.record.loaded if serves and held.record else None
        self._loader.loaded = loaded.digest if loaded else ""
        step = plans.make(wanted, held)
        if wanted is None:
            if step is Step.UNLOAD:
                await self._unload(held)
            self.has_rubbish = True
            self.holding = ""
            self._tools.board.remove(self.name)
            return True
        if step is Step.WAIT:
            raise ServerDownError("the model server does not answer")
        if step is Step.KEEP:
            self._attempt = 0
            self.holding = ""
            self._show(State.LOADED, Reason.LOADED, "")
            return True
        tree = await self._tree(step, wanted, held)
        await self._load(wanted, held, tree)
        return False

    async def _look(self) -> Held:
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
            return await self._fetch(wanted)
        except FetchError as error:
            tree = plans.fallback(wanted, held)
            if error.kind is not Kind.TRANSIENT or not tree:
                raise
            _LOG.warning("using the bytes held of model %s: %s", self.name, error.message)
            return tree

    async def _fetch(self, wanted: Model) -> str:
        """Fetch, unless another version comes to be wanted meanwhile."""

        def on_start() -> None:
            self._show(State.DOWNLOADING, Reason.DOWNLOADING, "")

        def hold(tree: str) -> None:
            self.has_rubbish |= bool(self.holding)
            self.holding = tree

        fetch = asyncio.ensure_future(self._tools.fetcher.fetch(wanted, on_start, hold))
        try:
            while not fetch.done():
                wake = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait({fetch, wake}, return_when=asyncio.FIRST_COMPLETED)
                wake.cancel()
                if not fetch.done():
                    self._wake.clear()
                    self._check_wish(wanted)
            return fetch.result()
        finally:
            if not fetch.done():
                fetch.cancel()
                with contextlib.suppress(asyncio.CancelledError, FetchError):
                    await fetch

    def _check_wish(self, wanted: Model) -> None:
        if self.wanted is None or self.wanted.digest != wanted.digest:
            raise _SupersededError

    async def _load(self, wanted: Model, held: Held, tree: str) -> None:
        record = held.record or Record()
        old = record.loaded
        version = Version(wanted.digest, tree)
        if plans.serves(held) and old and old.tree == tree:
            # The same bytes under another address: the server has them already.
            self._tools.store.note(self.name, Record(version, record.previous))
            return
        self._spare(held, tree)
        self._need_server()
        async with self._tools.load_slots:
            self._check_wish(wanted)
            self._show(State.LOADING, Reason.LOADING, "")
            await self._loader.switch(record, version)
        self.has_rubbish |= old is not None
        metrics.LOADS.inc()
        _LOG.info("loaded model %s", self.name, extra={"model": self.name})

    def _spare(self, held: Held, tree: str) -> None:
        """Do not offer refused bytes again and again while an old version answers."""
        may_offer = self._attempt < _PATIENT_AFTER or self._attempt % _OFFER_EVERY == 0
        if self._failure and tree == self._loader.refused and plans.serves(held) and not may_offer:
            raise self._failure

    async def _unload(self, held: Held) -> None:
        store = self._tools.store
        self._show(State.UNLOADING, Reason.PENDING, "")
        if held.record is None:
            store.note(self.name, Record(sure=False))  # still known when its link has gone
        try:
            self._need_server()
            async with self._tools.load_slots:
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
        state = self._tools.board.get(self.name)
        if self.wanted is not None:
            self._loader.loaded = ""
            self._show(State.PENDING, Reason.SERVER_UNAVAILABLE, "waiting for the model server")
        elif state:
            message = "waiting for the model server"
            self._tools.board.set(self.name, replace(state, message=message))
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
        failure = _failure(error)
        self._attempt += 1
        metrics.FAILURES.labels(failure.reason.value).inc()
        self._log_failure(failure, error)
        self._failure = failure
        seconds = retries.delay(failure.kind, self._attempt, self._tools.draw())
        next_try = self._tools.board.now() + timedelta(seconds=seconds)
        self._show(State.FAILED, failure.reason, failure.message, boards.rfc3339(next_try))
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
            async with self._tools.load_slots:
                if held.record and not plans.serves(held):
                    doubt = not held.record.sure or held.link != old.tree
                    await self._loader.restore(held.record, old, in_doubt=doubt)
        except (ServerRefusedError, ServerDownError, OSError) as error:
            _LOG.warning("cannot bring the old model %s back: %s", self.name, error)
            return
        state = self._tools.board.get(self.name)
        if state:
            state = replace(state, loaded=old.digest)
            self._tools.board.set(self.name, state, lasting=self._is_lasting())

    def _log_failure(self, failure: FetchError, error: Exception) -> None:
        known = isinstance(error, (FetchError, ServerRefusedError, OSError))
        again = self._failure is not None and self._failure.message == failure.message
        level = logging.DEBUG if again and self._attempt > 1 else logging.WARNING
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

    def _is_lasting(self) -> bool:
        return bool(self._attempt and self._failure and self._failure.kind is Kind.PERMANENT)

    def _show(self, state: State, reason: Reason, message: str, next_try: str = "") -> None:
        now = boards.rfc3339(self._tools.board.now())
        shown = ModelState(
            state=state,
            wanted=self.wanted.digest if self.wanted else "",
            loaded=self.loaded,
            reason=reason.value,
            message=message,
            attempt=self._attempt,
            since=now,
            next_try=next_try,
        )
        self._tools.board.set(self.name, shown, lasting=self._is_lasting())


def _failure(error: Exception) -> FetchError:
    if isinstance(error, FetchError):
        return error
    if isinstance(error, ServerRefusedError):
        return FetchError(Kind.UNKNOWN, Reason.MODEL_LOAD_FAILED, error.message)
    if isinstance(error, FileExistsError):
        return FetchError(Kind.PERMANENT, Reason.DOWNLOAD_FAILED, str(error))
    message = f"{type(error).__name__}: {error}"
    return FetchError(Kind.UNKNOWN, Reason.DOWNLOAD_FAILED, message)
