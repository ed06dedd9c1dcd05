"""A proxy leaves nothing behind: neither a connection nor a warning of one."""

import asyncio
import gc
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from cluster.certificates import Authority, Pair
from support.proxies import Proxy

ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def deaf(pair: Pair) -> Iterator[str]:
    """Serve one watch with one event, and never read again: no goodbye is answered."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            plain, _ = listening.accept()
            with context.wrap_socket(plain, server_side=True) as asked:
                asked.recv(1 << 16)
                asked.sendall(ANSWER)
                over.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join(10)


async def watch(authority: Authority, upstream: str) -> None:
    """Read the first event of a watch through a proxy, and go."""
    trusted = ssl.create_default_context(cafile=str(authority.ca().certificate))
    async with Proxy.beside(authority, upstream) as proxy, ClientSession() as session:
        url = f"{proxy.url}/api/v1/pods?watch=1"
        async with session.get(url, ssl=trusted) as answer:
            assert await answer.content.readline() == b"{}\n"


def test_a_watch_that_is_left_leaves_no_connection(authority: Authority) -> None:
    pair = authority.issue("deaf", "/CN=deaf", hosts=["IP:127.0.0.1"])
    with warnings.catch_warnings(record=True) as warned, deaf(pair) as upstream:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(watch(authority, upstream))
        gc.collect()
    assert not [str(each.message) for each in warned]
