"""A proxy in front of the API server that fails on purpose, and counts what it is asked.

It takes TLS with a certificate of the test's own authority and asks the real API server with
the certificate of one user, or passes on the token that it is given. Faults are had for as
long as a `with` block lasts::

    with proxy.fault(Fault.FREEZE, verbs={"watch"}, resources={"trainedmodels"}):
        ...

New requests that match meet the fault. So do the streams that run when it begins; what it
did to a stream stays done when it ends: a frozen one is dead.
"""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    StreamReader,
    TCPConnector,
    web,
)

from cluster.certificates import Authority, Pair

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
WRITES = frozenset(_VERBS.values())
_HOPS = {"host", "connection", "transfer-encoding", "content-length", "content-encoding"}


class Fault(Enum):
    """What happens to a request; those with a number are answered with that status."""

    FREEZE = "freeze"  # nothing is answered any more
    CUT = "cut"  # the connection is reset
    HALF_CLOSE = "half-close"  # the proxy's side of the connection is closed, without a goodbye
    END = "end"  # a stream ends at once, as if its time were over
    TRUNCATE = "truncate"  # a stream ends in the middle of a line
    GONE_EVENT = "gone-event"  # a watch says 410 in an event, and ends
    GONE = 410
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    TOO_MANY = 429
    BROKEN = 500
    DELAY = "delay"  # as ever, but late


@dataclass(frozen=True)
class Call:
    """One request, in Kubernetes' words."""

    at: float  # time.monotonic()
    verb: str
    resource: str
    subresource: str
    name: str
    namespace: str


def call(request: web.Request, now: float) -> Call:
    """Read a request's path and method."""
    parts = request.path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = (*rest, "", "", "")[:3]
    verb = _VERBS.get(request.method, "get" if name else "list")
    if request.query.get("watch") in ("1", "true"):
        verb = "watch"
    return Call(now, verb, resource, subresource, name, namespace)


@dataclass(frozen=True)
class Rule:
    """Which requests meet which fault; an empty set means all."""

    fault: Fault
    verbs: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    retry_after: int = 1
    seconds: float = 1.0

    def matches(self, asked: Call) -> bool:
        """Tell whether a request meets this fault."""
        return (not self.verbs or asked.verb in self.verbs) and (
            not self.resources or asked.resource in self.resources
        )


@dataclass(eq=False)
class _Stream:
    """A watch that runs: its pump, and the fault that ends it."""

    call: Call
    struck: asyncio.Future[Fault] = field(default_factory=asyncio.Future)


class Proxy:
    """One proxy; `url` is where it listens."""

    def __init__(self, upstream: str, session: ClientSession) -> None:
        self._upstream = upstream
        self._session = session
        self._rules: list[Rule] = []
        self._streams: set[_Stream] = set()
        self.calls: list[Call] = []
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def beside(
        cls, authority: Authority, upstream: str, user: Pair | None = None
    ) -> AsyncIterator[Self]:
        """Listen with a certificate of an authority, and ask as a user, or as who asks."""
        serving = authority.issue("proxy", "/CN=proxy", hosts=["IP:127.0.0.1"])
        towards = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        towards.load_cert_chain(serving.certificate, serving.key)
        asking = ssl.create_default_context(cafile=str(authority.ca().certificate))
        if user:
            asking.load_cert_chain(user.certificate, user.key)
        async with cls.serve(upstream, towards, asking) as made:
            yield made

    @classmethod
    @asynccontextmanager
    async def serve(
        cls, upstream: str, serving: ssl.SSLContext, asking: ssl.SSLContext
    ) -> AsyncIterator[Self]:
        """Listen on a port of its own."""
        connector = TCPConnector(limit=0, ssl=asking)
        timeout = ClientTimeout(total=None)
        async with ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as session:
            made = cls(upstream, session)
            app = web.Application(client_max_size=1 << 24)
            app.router.add_route("*", "/{path:.*}", made._answer)
            runner = web.AppRunner(
                app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
            )
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving)
            await site.start()
            made.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield made
            finally:
                await runner.cleanup()

    @contextmanager
    def fault(
        self,
        fault: Fault,
        *,
        verbs: Collection[str] = (),
        resources: Collection[str] = (),
        retry_after: int = 1,
        seconds: float = 1.0,
    ) -> Iterator[None]:
        """Have a fault; `retry_after` is told with a 429, `seconds` is how late a DELAY is."""
        rule = Rule(fault, frozenset(verbs), frozenset(resources), retry_after, seconds)
        self._rules.append(rule)
        for stream in self._streams:
            if rule.matches(stream.call) and not stream.struck.done():
                stream.struck.set_result(fault)
        try:
            yield
        finally:
            self._rules.remove(rule)

    def asked(self, since: float, verbs: Collection[str] = ()) -> list[Call]:
        """List the requests since a moment of time.monotonic()."""
        return [
            each for each in self.calls if each.at >= since and (not verbs or each.verb in verbs)
        ]

    def writes(self, since: float) -> list[Call]:
        """List the writes since a moment, but those of the election."""
        return [each for each in self.asked(since, WRITES) if each.resource != "leases"]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = call(request, time.monotonic())
        self.calls.append(asked)
        body = await request.read()
        rule = next((rule for rule in self._rules if rule.matches(asked)), None)
        if rule is None:
            return await self._pass(request, asked, body)
        if rule.fault is Fault.DELAY:
            await asyncio.sleep(rule.seconds)
            return await self._pass(request, asked, body)
        if isinstance(rule.fault.value, int):
            return _refusal(rule.fault.value, rule.retry_after)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if rule.fault not in (Fault.FREEZE, Fault.CUT):
            await response.prepare(request)
        return await _strike(request, response, rule.fault)

    async def _pass(self, request: web.Request, asked: Call, body: bytes) -> web.StreamResponse:
        headers = {
            key: value for key, value in request.headers.items() if key.lower() not in _HOPS
        }
        try:
            async with self._session.request(
                request.method,
                self._upstream + request.path_qs,
                headers=headers,
                data=body or None,
                skip_auto_headers=("Content-Type",),
            ) as answer:
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOPS}
                if "Content-Encoding" in answer.headers:
                    kept["Content-Encoding"] = answer.headers["Content-Encoding"]
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                if asked.verb != "watch":
                    await response.write(await answer.read())
                    await response.write_eof()
                    return response
                try:
                    return await self._pump(request, response, asked, answer.content)
                finally:
                    _leave(answer)
        except ClientError:
            _transport(request).abort()  # as the API server itself did
            return web.Response()

    async def _pump(
        self,
        request: web.Request,
        response: web.StreamResponse,
        asked: Call,
        content: StreamReader,
    ) -> web.StreamResponse:
        """Pass a stream on until it ends or is struck."""
        stream = _Stream(asked)
        self._streams.add(stream)
        try:
            passing = asyncio.create_task(_copy(content, response))
            try:
                await asyncio.wait({passing, stream.struck}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                passing.cancel()
                (end,) = await asyncio.gather(passing, return_exceptions=True)
        finally:
            self._streams.discard(stream)
        if stream.struck.done():
            return await _strike(request, response, stream.struck.result())
        if isinstance(end, BaseException):
            raise end
        await response.write_eof()
        return response


async def _copy(content: StreamReader, response: web.StreamResponse) -> None:
    while chunk := await content.readany():
        await response.write(chunk)


def _leave(answer: ClientResponse) -> None:
    """End a connection at once: a goodbye may be waited for longer than the loop runs."""
    if answer.connection and answer.connection.transport:
        answer.connection.transport.abort()


async def _strike(
    request: web.Request, response: web.StreamResponse, fault: Fault
) -> web.StreamResponse:
    """Do to an open answer what the fault says."""
    if fault is Fault.FREEZE:
        await asyncio.Event().wait()
    if fault is Fault.HALF_CLOSE:
        request.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)  # type: ignore[union-attr] # connected
        await asyncio.sleep(60)
    if fault is Fault.GONE_EVENT:
        event = {"type": "ERROR", "object": _status(410, "Expired")}
        await response.write(json.dumps(event).encode() + b"\n")
    if fault is Fault.TRUNCATE:
        await response.write(b'{"type":"MODIFIED","object":{"metad')
    if fault in (Fault.GONE_EVENT, Fault.TRUNCATE, Fault.END):
        await response.write_eof()
    else:
        _transport(request).abort()
    return response


def _transport(request: web.Request) -> asyncio.Transport:
    transport: Any = request.transport
    return transport or asyncio.Transport()


def _refusal(status: int, retry_after: int) -> web.Response:
    headers = {"Retry-After": str(retry_after)} if status == 429 else {}
    return web.json_response(_status(status, "Fault"), status=status, headers=headers)


def _status(code: int, reason: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"the proxy says {code}",
        "reason": reason,
        "code": code,
    }
