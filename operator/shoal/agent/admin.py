"""The agent's own port: probes, metrics and states. Readers: kubelet, Prometheus, the operator.

Before a pod ends, kubelet asks `/drain` for the model server and for the agent, and waits for the
answer (`preStop`). The operator follows a pod until it has told that the pod's models are going:
so they answer for as long as somebody may still read Ready.
"""

import asyncio
import contextlib
from collections.abc import Awaitable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shoal import modelstates, names
from shoal.agent.boards import Board

_LONGEST_WAIT = 60.0
_BEAT_SECONDS = 1.0
_LONGEST_DRAIN_SECONDS = 25.0  # a pod has 30 to end, by default
_BETWEEN_POLLS_SECONDS = 1.0  # the longest that a busy operator takes from one to the next
_LOOK_SECONDS = 0.1


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
            web.get(names.AGENT_DRAIN_PATH, admin.drain),
        ]
    )
    return application


class _Admin:
    def __init__(self, board: Board) -> None:
        self._board = board
        self._polls = 0  # that are open
        self._left = -_BETWEEN_POLLS_SECONDS  # when the last one ended

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
                await self._be_followed(self._await_change(response, seconds))
                # A burst of changes is one answer; the more models, the longer an answer is.
                await asyncio.sleep(min(0.25, 0.01 + self._board.size * 0.0002))
            report = self._board.report(after if can_merge else "")
            await response.write_eof(modelstates.encode(report).encode())
        return response

    async def drain(self, _: web.Request) -> web.Response:
        """Answer when nobody follows any more what the server answers."""
        clock = asyncio.get_running_loop().time
        end = clock() + _LONGEST_DRAIN_SECONDS
        while self._is_followed(clock()) and self._board.has_loaded() and clock() < end:
            await self._board.wait(self._board.cursor, _LOOK_SECONDS)
        return web.Response(text="ok\n")

    def _is_followed(self, now: float) -> bool:
        return self._polls > 0 or now - self._left < _BETWEEN_POLLS_SECONDS

    async def _be_followed(self, poll: Awaitable[None]) -> None:
        self._polls += 1
        try:
            await poll
        finally:
            self._polls -= 1
            self._left = asyncio.get_running_loop().time()

    async def _await_change(self, response: web.StreamResponse, seconds: float) -> None:
        """Wait with a sign of life now and then: JSON may begin with blank lines."""
        loop = asyncio.get_running_loop()
        after, end = self._board.cursor, loop.time() + seconds
        while (left := end - loop.time()) > 0:
            await self._board.wait(after, min(_BEAT_SECONDS, left))
            if self._board.cursor != after:
                return
            await response.write(b"\n")
