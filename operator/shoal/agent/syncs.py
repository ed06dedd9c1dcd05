"""All models of one replica: wishes handed to workers, the server watched.

```
 the server      refuses or ends connections     down: nothing is loaded, until it answers
                 is silent, and no load is on    down, after _SILENCE_SECONDS
                 is silent while it loads        as it was (some answer nobody meanwhile); after
                                                 _LOADING_SECONDS mute: nothing is called loaded,
                                                 but the pod keeps its place in the Service
                 answers                         its models are asked for, some at a time
```

Callers: processes (a new set of models comes in through `apply`).
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum

from shoal.agent import metrics
from shoal.agent.errors import ServerDownError
from shoal.agent.workers import Tools, Worker
from shoal.modelconfig import Model
from shoal.modelstates import State

_LOG = logging.getLogger(__name__)
_SAMPLE = 8
_LARGEST_SAMPLE = 32
_ROUND_SECONDS = 60  # in which each of up to 1,920 models is asked for
_DOWN_CHECK_SECONDS = 0.2
_ASK_AT_ONCE = 16
# A server whose process hangs is looked at every second and gets so long for one answer out of
# the sample: it is called down after three seconds at most. A busy one answers one of eight.
_SILENCE_SECONDS = 2.0
_LOADING_SECONDS = 30.0  # so long may a load keep a server from answering others


def sample_size(loaded: int, check_seconds: float) -> int:
    """Tell for how many of the loaded models to ask at each look, one every `check_seconds`."""
    looks = _ROUND_SECONDS / check_seconds
    return min(_LARGEST_SAMPLE, max(_SAMPLE, math.ceil(loaded / looks)))


class _Seen(Enum):
    ANSWERS = "answers"
    MUTE = "mute"
    DOWN = "down"


class Syncs:
    """Makes what is held and loaded equal to what is wanted."""

    def __init__(self, tools: Tools, check_seconds: float) -> None:
        self._tools = tools
        self._check_seconds = check_seconds
        self._workers: dict[str, Worker] = {}
        self._next_sample = 0
        self._seen = _Seen.DOWN
        self._answered = 0.0  # when the server last gave any answer, by the loop's clock

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
        asyncio.get_running_loop().call_soon(self._drop, worker)

    def _drop(self, worker: Worker) -> None:
        if worker.is_gone and self._workers.get(worker.name) is worker:
            del self._workers[worker.name]

    async def watch_server(self) -> None:
        """Look at the model server until cancelled: now and then, and at once when it ends."""
        while True:
            try:
                await self._check_server()
            except Exception:  # noqa: BLE001 - one bad look must not end the looking
                _LOG.exception("cannot look at the model server")
            self._count()
            if self._seen is _Seen.DOWN:
                await asyncio.sleep(_DOWN_CHECK_SECONDS)
            else:
                await self._tools.server.line.wait(self._check_seconds)

    async def stop(self) -> None:
        """Stop every worker."""
        for worker in list(self._workers.values()):
            await worker.stop()

    async def _check_server(self) -> None:
        was, self._seen = self._seen, await self._look()
        is_up = self._seen is not _Seen.DOWN
        self._tools.board.is_server_up = is_up
        metrics.SERVER_UP.set(is_up)
        if self._seen is was:
            return
        if self._seen is _Seen.ANSWERS:
            _LOG.info("the model server answers")
            self._tools.server_up.set()
            self._poke(self._workers.values())
            return
        _LOG.warning("the model server does not answer")
        if not is_up:
            self._tools.server.line.drop()
            self._tools.server_up.clear()
            self._tools.board.await_models(worker.name for worker in self._loaded())
        self._lose(self._workers.values(), "the model server does not answer")

    async def _look(self) -> _Seen:
        now = asyncio.get_running_loop().time()
        was_loading = self._is_loading()
        if not await self._tools.server.is_listening():
            return _Seen.DOWN
        if await self._check_models():
            self._answered = now
            return _Seen.ANSWERS
        if not (was_loading or self._is_loading()):
            return _Seen.DOWN
        # Some servers answer nobody while they load; a load has a time limit of its own.
        is_patient = now - self._answered < _LOADING_SECONDS
        return _Seen.MUTE if self._seen is _Seen.ANSWERS and not is_patient else self._seen

    async def _check_models(self) -> bool:
        """Ask for some of the loaded models, in turn; if one is lost, for all of them.

        Returns:
            Whether there was any answer, or nothing to ask for.
        """
        loaded = self._loaded()
        sample, rest = self._sample(loaded)
        asked = sample or list(self._workers.values())[:1]
        # A server that has one connection at a time would answer if it were not for the line.
        shun = self._tools.server.line.shun
        shunning = asyncio.get_running_loop().call_later(_SILENCE_SECONDS / 2, shun)
        answers = await self._ask(asked)
        shunning.cancel()
        if any(answer is not None for answer in answers):
            answers += await self._ask(rest)
        if False in answers and sample:
            answers = await self._ask(loaded)
            lost = [
                worker
                for worker, answer in zip(loaded, answers, strict=True)
                if answer is False and worker.loaded and not worker.is_busy
            ]
            self._tools.board.await_models(worker.name for worker in lost)
            self._lose(lost, "the model server lost it; it is loaded again")
            self._poke(lost)
        return not asked or any(answer is not None for answer in answers)

    def _sample(self, loaded: list[Worker]) -> tuple[list[Worker], list[Worker]]:
        """Choose whom to ask for now: some that show whether there is an answer, and the rest."""
        size = sample_size(len(loaded), self._check_seconds)
        start = self._next_sample % len(loaded) if loaded else 0
        self._next_sample = start + size
        chosen = (loaded[start:] + loaded[:start])[:size]
        return chosen[:_SAMPLE], chosen[_SAMPLE:]

    async def _ask(self, workers: Sequence[Worker]) -> list[bool | None]:
        """Ask whether each model is ready; None where there was no answer."""
        slots = asyncio.Semaphore(_ASK_AT_ONCE)

        async def is_ready(worker: Worker) -> bool | None:
            async with slots:
                try:
                    return await self._tools.server.is_ready(worker.name, _SILENCE_SECONDS)
                except ServerDownError:
                    return None

        return await asyncio.gather(*map(is_ready, workers))

    def _is_loading(self) -> bool:
        return any(worker.is_busy for worker in self._workers.values())

    def _loaded(self) -> list[Worker]:
        return [each for each in self._workers.values() if each.loaded and not each.is_busy]

    def _lose(self, workers: Iterable[Worker], message: str) -> None:
        for worker in workers:
            worker.lose(message)

    def _poke(self, workers: Iterable[Worker]) -> None:
        for worker in list(workers):
            worker.poke()

    def _count(self) -> None:
        counts = Counter(state.state for state in self._tools.board.states())
        for state in State:
            metrics.MODELS.labels(state.value).set(counts[state])
