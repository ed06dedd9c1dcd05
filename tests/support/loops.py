"""Servers, on loopback by default, in a loop and a thread that a test has not itself."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ssl import SSLContext

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_BUFFER = 1 << 16  # asyncio's own


@contextmanager
def serving(
    serve: Serve,
    tls: SSLContext | None = None,
    *,
    limit: int = _BUFFER,
    host: str = "127.0.0.1",
) -> Iterator[int]:
    """Serve connections until the end of the block; yields the port.

    `limit` is how many bytes a line may have, and half of what is read ahead.
    """
    loop = asyncio.new_event_loop()
    # A loop refers to tasks weakly: one whose client has gone may be collected while it waits.
    tasks: set[asyncio.Task[None] | None] = set()

    async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        tasks.add(task)
        try:
            await serve(reader, writer)
        finally:
            tasks.discard(task)

    listener = loop.run_until_complete(asyncio.start_server(kept, host, 0, ssl=tls, limit=limit))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port: int = listener.sockets[0].getsockname()[1]
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(_end(listener), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(listener: asyncio.Server) -> None:
    listener.close()
    mine = asyncio.current_task()
    others = None
    # Until none is left: a connection that was taken just before begins later.
    while others is None or others:
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.1)  # for the transports to close
