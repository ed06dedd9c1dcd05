"""Web servers of this machine that pods reach: each answers by a function of the request."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cluster.certificates import Pair


@dataclass(frozen=True)
class Asked:
    """A request as it came; `path` has the query too."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    """An answer."""

    body: bytes
    status: int = 200
    kind: str = "application/octet-stream"


Answer = Callable[[Asked], Said]


def address(door: str) -> str:
    """Find the address by which those behind a door, HOST:PORT, reach this machine."""
    host, _, port = door.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:  # nothing is sent
        way.connect((host, int(port)))
        found: str = way.getsockname()[0]
        return found


@contextmanager
def serving(host: str, answer: Answer, tls: Pair | None = None) -> Iterator[str]:
    """Serve on an address of this machine until the end of the block; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            said = answer(Asked(self.command, self.path, dict(self.headers), body))
            self.send_response(said.status)
            self.send_header("Content-Type", said.kind)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said.body)

        do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - names of the library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing: tests look at what was asked."""

    server = ThreadingHTTPServer((host, 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
