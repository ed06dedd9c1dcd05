"""The agent's own port: probes, metrics and states. Readers: kubelet, Prometheus, the operator."""

import asyncio
import contextlib

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shoal import modelstates, names
from shoal.agent.boards import Board

_LONGEST_WAIT = 60.0
_BEAT_SECONDS = 1.0


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

    async def states(self, request: web.Request) -> web.StreamResponse:
        try:
            seconds = min(_LONGEST_WAIT, max(0.0, float(request.query.get("wait", "0"))))
        except ValueError:
            raise web.HTTPBadRequest(text="wait: must be a number of seconds\n") from None
        after = request.query.get("after", "")
        # Only who says so can put changes together with what it holds.
        can_merge = "changes" in request.query
        response = web.StreamResponse(headers={names.AGENT_BEAT_HEADER: f"{_BEAT_SECONDS:g}"})
        response.content_type = "application/json"
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # who asked is gone
            if after == self._board.cursor and seconds:
                await self._await_change(response, seconds)
                # A burst of changes is one answer; the more models, the longer an answer is.
                await asyncio.sleep(min(0.25, 0.01 + self._board.size * 0.0002))
            report = self._board.report(after if can_merge else "")
            await response.write_eof(modelstates.encode(report).encode())
        return response

    async def _await_change(self, response: web.StreamResponse, seconds: float) -> None:
        """Wait with a sign of life now and then: JSON may begin with blank lines."""
        loop = asyncio.get_running_loop()
        after, end = self._board.cursor, loop.time() + seconds
        while (left := end - loop.time()) > 0:
            await self._board.wait(after, min(_BEAT_SECONDS, left))
            if self._board.cursor != after:
                return
            await response.write(b"\n")
