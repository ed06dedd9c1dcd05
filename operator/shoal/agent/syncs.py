"""All models of one replica: wishes handed to workers, the server watched, rubbish swept.

Callers: processes (a new set of models comes in through `apply`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable

from shoal.agent import metrics
from shoal.agent.servers import ServerDownError
from shoal.agent.workers import Tools, Worker
from shoal.modelconfig import Model
from shoal.modelstates import State

_LOG = logging.getLogger(__name__)
_SAMPLE = 8
_DOWN_CHECK_SECONDS = 0.2
_SWEEP_SECONDS = 0.5
_ASK_AT_ONCE = 16


class Syncs:
    """Makes what is held and loaded equal to what is wanted."""

    def __init__(self, tools: Tools, check_seconds: float) -> None:
        self._tools = tools
        self._check_seconds = check_seconds
        self._workers: dict[str, Worker] = {}
        self._next_sample = 0
        self._sweep_due = asyncio.Event()

    def apply(self, models: tuple[Model, ...], config: str) -> None:
        """Take a whole new set of wishes."""
        wanted = {model.name: model for model in models}
        for name in wanted.keys() | self._workers.keys() | self._tools.store.known():
            if name not in self._workers:
                self._workers[name] = Worker(name, self._tools, self._on_idle)
            self._workers[name].want(wanted.get(name))
        self._tools.board.set_config(config, wanted)
        _LOG.debug("%d models are wanted", len(wanted))

    def _on_idle(self, worker: Worker) -> None:
        if worker.has_rubbish:
            worker.has_rubbish = False
            self._sweep_due.set()
        asyncio.get_running_loop().call_soon(self._drop, worker)

    def _drop(self, worker: Worker) -> None:
        if worker.is_gone and self._workers.get(worker.name) is worker:
            del self._workers[worker.name]

    async def watch_server(self) -> None:
        """Look at the model server until cancelled."""
        while True:
            try:
                await self._check_server()
            except Exception:  # noqa: BLE001 - one bad look must not end the looking
                _LOG.exception("cannot look at the model server")
            self._count()
            is_up = self._tools.server_up.is_set()
            await asyncio.sleep(self._check_seconds if is_up else _DOWN_CHECK_SECONDS)

    async def sweep(self) -> None:
        """Remove bytes that nobody needs, until cancelled."""
        store = self._tools.store
        while True:
            await self._sweep_due.wait()
            await asyncio.sleep(_SWEEP_SECONDS)
            self._sweep_due.clear()
            needed = {worker.holding for worker in self._workers.values()}
            try:
                for rubbish in store.sweep(needed):
                    await asyncio.to_thread(store.discard, rubbish)
            except OSError:
                _LOG.exception("cannot sweep the store")

    async def stop(self) -> None:
        """Stop every worker."""
        for worker in list(self._workers.values()):
            await worker.stop()

    async def _check_server(self) -> None:
        was_up = self._tools.server_up.is_set()
        is_up = await self._tools.server.is_listening()
        if is_up:
            is_up = await self._check_models()
        self._tools.board.is_server_up = is_up
        metrics.SERVER_UP.set(is_up)
        if is_up and not was_up:
            _LOG.info("the model server answers")
            self._tools.server_up.set()
            self._poke(self._workers.values())
        elif was_up and not is_up:
            _LOG.warning("the model server does not answer")
            self._tools.server_up.clear()
            self._lose(self._loaded(), "the model server does not answer")

    async def _check_models(self) -> bool:
        """Ask for some of the loaded models, in turn; if one is lost, for all of them."""
        loaded = self._loaded()
        start = self._next_sample % len(loaded) if loaded else 0
        sample = (loaded[start:] + loaded[:start])[:_SAMPLE]
        self._next_sample = start + _SAMPLE
        try:
            if await self._lost(sample):
                lost = await self._lost(self._loaded())
                self._lose(lost, "the model server lost it; it is loaded again")
                self._poke(lost)
        except ServerDownError:
            # Some servers answer nobody while they load; a load has a time limit of its own.
            return any(worker.is_busy for worker in self._workers.values())
        return True

    async def _lost(self, workers: list[Worker]) -> list[Worker]:
        slots = asyncio.Semaphore(_ASK_AT_ONCE)

        async def is_lost(worker: Worker) -> bool:
            async with slots:
                is_ready = await self._tools.server.is_ready(worker.name)
            return not is_ready and not worker.is_busy and bool(worker.loaded)

        answers = await asyncio.gather(*(is_lost(worker) for worker in workers))
        return [worker for worker, lost in zip(workers, answers, strict=True) if lost]

    def _loaded(self) -> list[Worker]:
        return [each for each in self._workers.values() if each.loaded and not each.is_busy]

    def _lose(self, workers: list[Worker], message: str) -> None:
        self._tools.board.await_models(worker.name for worker in workers)
        for worker in workers:
            worker.lose(message)

    def _poke(self, workers: Iterable[Worker]) -> None:
        for worker in list(workers):
            worker.poke()

    def _count(self) -> None:
        counts = Counter(state.state for state in self._tools.board.states())
        for state in State:
            metrics.MODELS.labels(state.value).set(counts[state])
