"""The connection that tells of the model server's end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from shoal.agent.lines import Line

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextlib.asynccontextmanager
async def serving(keeps_seconds: float) -> AsyncIterator[tuple[Line, list[float]]]:
    """Serve a line's requests; each connection is kept for so long after its answer."""
    requests: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        requests.append(time.monotonic())
        writer.write(ANSWER)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), keeps_seconds)
        writer.close()
        await writer.wait_closed()

    over = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    line = Line("127.0.0.1", server.sockets[0].getsockname()[1])
    async with server:
        yield line, requests
        over.set()
        line.drop()
        await asyncio.sleep(0.05)  # both ends close


async def waited(line: Line, seconds: float) -> float:
    began = time.monotonic()
    await line.wait(seconds)
    return time.monotonic() - began


async def test_the_servers_end_is_told_at_once() -> None:
    async with serving(0.7) as (line, _):
        assert 0.6 < await waited(line, 5) < 4


async def test_a_quiet_line_is_kept_and_waits_no_longer_than_told() -> None:
    async with serving(5) as (line, requests):
        assert [0.09 < await waited(line, 0.1) < 2 for _ in range(3)] == [True] * 3
        assert len(requests) == 1


async def test_a_server_that_keeps_no_connection_is_left_alone() -> None:
    async with serving(0) as (line, requests):
        assert await waited(line, 5) < 4
        assert [0.09 < await waited(line, 0.1) < 2 for _ in range(3)] == [True] * 3
        assert len(requests) == 1


async def test_nobody_at_the_other_end_is_told_at_once() -> None:
    async with serving(1) as (line, _):
        pass
    assert await waited(line, 5) < 4
