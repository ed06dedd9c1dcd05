"""A watch on which nothing comes: no failure, since a quiet cluster is as silent."""

import asyncio

import pytest
from aiohttp import ClientSession, test_utils, web

from shoal.agent.apis import Api
from shoal.agent.errors import ApiError


async def _silent(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await asyncio.Event().wait()
    return response


async def _mute(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


def _application(kind: str) -> web.Application:
    made = web.Application()
    made.router.add_get("/{path:.*}", _silent if kind == "silent" else _mute)
    return made


async def _watched(kind: str) -> list[object]:
    server = test_utils.TestServer(_application(kind))
    async with server, ClientSession() as session:
        api = Api(session, str(server.make_url("")), "default", "/nowhere", silence_seconds=1)
        return [event async for event in api.watch_one("configmaps", "models", "1", 5)]


async def test_a_watch_that_falls_silent_ends() -> None:
    assert await _watched("silent") == []


async def test_a_server_that_never_answers_is_a_failure() -> None:
    with pytest.raises(ApiError, match="Timeout"):
        await _watched("mute")
