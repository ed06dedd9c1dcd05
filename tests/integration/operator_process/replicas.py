"""Pods without a node: what a kubelet and an agent would say of them.

The agent here is a stub of our own port: it serves whole reports with a long poll, as
`shoal.modelstates` defines them, and says what a test tells it to. The ring with a node has
the real one.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from shoal import modelconfig, modelstates
from shoal.modelstates import ModelState, Report, State

_SINCE = "2026-11-21T10:00:00Z"


class StubAgent:
    """Answers at an address's agent port with the states that it was told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.models: dict[str, ModelState] = {}
        self._cursor = 0
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Answer from now on."""
        app = web.Application()
        app.router.add_get("/v1/states", self._states)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, 9082).start()

    async def stop(self) -> None:
        """Give no answer any more: connections are refused."""
        self._changed.set()  # lets go of who waits
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    def say(self, models: dict[str, ModelState]) -> None:
        """Report these models from now on, and no others."""
        self.models = dict(models)
        self._cursor += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def load(self, wanted: Iterable[modelconfig.Model]) -> None:
        """Report that these models are loaded, and no others."""
        self.say({model.name: state(model, State.LOADED) for model in wanted})

    async def _states(self, request: web.Request) -> web.Response:
        if request.query.get("after") == str(self._cursor):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(float(request.query.get("wait", "0"))):
                    await self._changed.wait()
        report = Report(str(self._cursor), settled=True, config="", models=self.models)
        return web.json_response(text=modelstates.encode(report))


def state(
    model: modelconfig.Model, kind: State, reason: str = "", message: str = ""
) -> ModelState:
    """Make what an agent says of a model."""
    loaded = model.digest if kind is State.LOADED else ""
    return ModelState(kind, model.digest, loaded, reason, message, 1, _SINCE, "")


@dataclass(frozen=True)
class Replica:
    """A pod that runs, as far as the API server knows."""

    pod: str
    agent: StubAgent
