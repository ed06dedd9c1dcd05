"""The operator's client against a server that misbehaves as proxies and API servers do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import test_utils, web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from shoal.cluster import kinds
from shoal.cluster.client import Client
from shoal.cluster.ports import ApiError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
NAME = {"metadata": {"name": "c", "resourceVersion": "7"}}


@asynccontextmanager
async def connected(answer: Answer) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with test_utils.TestServer(app) as server:
        configuration = Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        client = Client(ApiClient(configuration))
        yield client
        await client.close()


def refusal(status: int, **headers: str) -> web.Response:
    body = {"reason": "Fault", "message": "no"}
    return web.json_response(body, status=status, headers=headers)


@pytest.mark.parametrize(
    ("page", "version"),
    [
        pytest.param({"major": "1", "minor": "34"}, (1, 34), id="plain"),
        pytest.param({"major": "1", "minor": "29+"}, (1, 29), id="a-vendors"),
    ],
)
async def test_the_servers_version(page: dict[str, str], version: tuple[int, int]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(page if request.path == "/version" else {}, status=200)

    async with connected(answer) as client:
        assert await client.version() == version


async def test_a_server_without_a_version_is_an_error() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"gitVersion": "v1"})

    async with connected(answer) as client:
        with pytest.raises(ApiError, match="GET /version"):
            await client.version()


async def test_a_list_whose_place_is_forgotten_begins_again_in_one_piece() -> None:
    pages: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        pages.append(dict(request.query))
        if "continue" in request.query:
            return refusal(410)
        items = [{"metadata": {"name": "a"}}]
        if "limit" in request.query:
            return web.json_response({"items": items, "metadata": {"continue": "on"}})
        return web.json_response({"items": [*items, {"metadata": {"name": "b"}}], "metadata": {}})

    async with connected(answer) as client:
        listed = await client.list(kinds.TRAINED_MODEL)

    assert [body["metadata"]["name"] for body in listed] == ["a", "b"]
    assert len(pages) == 3


async def test_a_server_that_forgets_each_first_page_is_an_error() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return refusal(410)

    async with connected(answer) as client:
        with pytest.raises(ApiError, match="410"):
            await client.list(kinds.TRAINED_MODEL)


def watched(*lines: str, status: int = 200) -> Answer:
    """List one object, then answer its watch with these lines."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"items": [NAME], "metadata": {"resourceVersion": "7"}})
        if status != 200:
            return refusal(status)
        return web.Response(text="".join(lines))

    return answer


def event(kind: str, **body: Any) -> str:
    return json.dumps({"type": kind, "object": NAME | body}) + "\n"


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        pytest.param([event("MODIFIED", data={})], [NAME, NAME | {"data": {}}], id="a-change"),
        pytest.param([event("DELETED")], [NAME, None], id="a-deletion"),
        pytest.param([event("BOOKMARK"), event("DELETED")], [NAME, None], id="a-bookmark"),
        pytest.param([event("ERROR", code=410)], [NAME], id="an-error"),
        pytest.param([event("DELETED"), '{"type":"MOD'], [NAME, None], id="a-torn-line"),
        pytest.param(['{"type":"MOD'], [NAME], id="only-a-torn-line"),
    ],
)
async def test_a_watch_ends_where_the_server_ends_it(lines: list[str], seen: list[Any]) -> None:
    async with connected(watched(*lines)) as client:
        assert [body async for body in client.watch(kinds.CONFIG_MAP, "n", "c")] == seen


async def test_a_watch_of_what_does_not_change_ends_without_an_error() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"items": [NAME], "metadata": {"resourceVersion": "7"}})
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(30)
        return response

    async with connected(answer) as client:
        client.watch_silence = 0.2
        async with asyncio.timeout(5):
            seen = [body async for body in client.watch(kinds.CONFIG_MAP, "n", "c")]
    assert seen == [NAME]


@pytest.mark.parametrize("status", [401, 403, 410, 429, 500])
async def test_a_refused_watch_is_an_error_of_the_api_server(status: int) -> None:
    async with connected(watched(status=status)) as client:
        with pytest.raises(ApiError, match=f"{status} Fault: no"):
            _ = [body async for body in client.watch(kinds.CONFIG_MAP, "n", "c")]


async def test_it_says_for_how_long_the_server_wants_peace() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return refusal(429, **{"Retry-After": "7"})

    async with connected(answer) as client:
        with pytest.raises(ApiError) as caught:
            await client.get(kinds.TRAINED_MODEL, "n", "m")
    assert caught.value.retry_after == 7


async def test_who_may_not_write_sends_nothing_but_its_lease() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path.rpartition('/')[2]}")
        return web.json_response({})

    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    model = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "TrainedModel"}
    place = {"metadata": {"namespace": "n", "name": "x"}}
    async with connected(answer) as client:
        client.may_write = lambda: False
        for write in (client.apply(model | place), client.delete(kinds.POD, "n", "p", "u")):
            with pytest.raises(ApiError, match="another operator may lead"):
                await write
        await client.get(kinds.TRAINED_MODEL, "n", "m")
        await client.replace(lease | place)
    assert asked == ["GET m", "PUT x"]


async def test_a_write_is_asked_for_again_once_it_has_its_connection() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.method)
        return web.json_response({})

    body = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"namespace": "n", "name": "x"},
    }
    async with connected(answer) as client:
        for _ in range(2):  # over a new connection, and over one that is there
            may = iter([True, False])
            client.may_write = lambda may=may: next(may)
            with pytest.raises(ApiError, match="another operator may lead"):
                await client.apply(body)
            await client.get(kinds.TRAINED_MODEL, "n", "m")
    assert asked == ["GET", "GET"]
