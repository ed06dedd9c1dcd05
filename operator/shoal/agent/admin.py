"""The agent's own port: probes, metrics and states. Readers: kubelet, Prometheus, the operator."""

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shoal import modelstates
from shoal.agent.boards import Board

_LONGEST_WAIT = 60.0


def make(board: Board) -> web.Application:
    """Make the application."""
    admin = _Admin(board)
    application = web.Application()
    application.add_routes(
        [
            web.get("/livez", admin.livez),
            web.get("/readyz", admin.readyz),
            web.get("/metrics", admin.metrics),
            web.get("/v1/states", admin.states),
        ]
    )
    return application


class _Admin:
    def __init__(self, board: Board) -> None:
        self._board = board

    async def livez(self, _: web.Request) -> web.Response:
        # That this runs at all is what is asked.
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        if self._board.is_ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="models are not loaded yet\n")

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def states(self, request: web.Request) -> web.Response:
        try:
            seconds = min(_LONGEST_WAIT, max(0.0, float(request.query.get("wait", "0"))))
        except ValueError:
            raise web.HTTPBadRequest(text="wait: must be a number of seconds\n") from None
        if request.query.get("after") == self._board.cursor and seconds:
            await self._board.wait(self._board.cursor, seconds)
            # A burst of changes is one answer; the more models, the longer an answer is.
            await asyncio.sleep(min(0.25, 0.01 + self._board.size * 0.0002))
        text = modelstates.encode(self._board.report())
        return web.Response(text=text, content_type="application/json")
