"""The one file that knows the Kubernetes client library.

Configuration, credentials, TLS and connections are `kubernetes.aio`'s; requests go through
its REST client as plain dicts (docs/adr/0002). Kopf gets a session with the same
credentials, in which each request reads the token anew, so a rotated token is used.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final, Self
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
from aiohttp import ClientTimeout, StreamReader
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTResponse
from kubernetes.aio.config import ConfigException

from shoal import names
from shoal.cluster import kinds, metrics
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body
from shoal.cluster.streams import Streams

_log: Final = logging.getLogger(__name__)
_PAGE: Final = 500
_TIMEOUT: Final = ClientTimeout(total=30)
_WATCH_SECONDS: Final = 300
_FAILED: Final = 400  # HTTP's errors start here
_EXPIRED: Final = 410
_VERSION: Final = Kind("", "Info", "version")  # no kind of object: for the metrics
_APPLY: Final = "application/apply-patch+yaml"


class Client:
    """Requests to one API server; satisfies `ports.Cluster`."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self.may_write: Callable[[], bool] = lambda: True
        """Asked right before each write, but those of Leases."""
        self.watch_silence = 75.0
        """Seconds after which a silent watch of one object is begun anew."""
        api.configuration.trace_configs = [self._fence()]

    @classmethod
    async def connect(cls) -> Self:
        """Take credentials from the pod's service account, else from the kubeconfig."""
        configuration = Configuration()
        try:
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        except ConfigException:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = 60
        # Where there is no proxy, looking for one costs a tenth of the process's time.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
        return cls(ApiClient(configuration))

    @property
    def server(self) -> str:
        """The API server's base URL."""
        return str(self._api.configuration.host)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """Read one object; None where there is none."""
        try:
            return await self._request("GET", kind, kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:  # noqa: PLR2004 - HTTP's not found
                return None
            raise

    async def serves(self, kind: Kind) -> bool:
        """Tell whether the API server's discovery has a kind; a new definition's comes late."""
        prefix = "/apis/" if kind.group else "/api/"
        try:
            page = await self._request("GET", kind, prefix + kind.api_version)
        except ApiError as error:
            if error.status == 404:  # noqa: PLR2004 - HTTP's not found
                return False
            raise
        return any(row["name"] == kind.plural for row in page.get("resources") or ())

    async def version(self) -> tuple[int, int]:
        """Tell the API server's version, such as (1, 34); some vendors write the 34 as `34+`."""
        page = await self._request("GET", _VERSION, "/version")
        major, minor = (re.match(r"\d*", str(page.get(key, ""))) for key in ("major", "minor"))
        if not (major and major[0] and minor and minor[0]):
            raise ApiError(502, "Unreadable", f"GET /version: {page} has no major and minor")
        return int(major[0]), int(minor[0])

    async def glance(self, kind: Kind, namespace: str = "") -> None:
        """Ask for one object of a kind: to learn whether we may.

        Raises:
            ApiError: we may not, or nobody answers.
        """
        query = {"limit": "1", "labelSelector": kind.selector}
        await self._request("GET", kind, kind.path(namespace), query)

    async def list(self, kind: Kind, namespace: str = "") -> list[Body]:
        """Read all objects of a kind that match its selector, page by page.

        The pages are of one moment, which the API server forgets after some minutes.
        """
        query = {"limit": str(_PAGE), "labelSelector": kind.selector}
        items: list[Body] = []
        while True:
            try:
                page = await self._request("GET", kind, kind.path(namespace), query)
            except ApiError as error:
                if error.status != _EXPIRED or "continue" not in query:
                    raise
                items, query = [], {"labelSelector": kind.selector}  # all at once
                continue
            items += page.get("items") or []
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items
            query["continue"] = token

    async def apply(self, body: Body, *, subresource: str = "") -> Body:
        """Server-side apply, forced, as our one field manager; return what is stored."""
        return await self._apply(body, subresource, {})

    async def rehearse(self, body: Body) -> Body:
        """Ask what an apply would leave stored; nothing is."""
        return await self._apply(body, "", {"dryRun": "All"})

    async def _apply(self, body: Body, subresource: str, more: Mapping[str, str]) -> Body:
        kind, meta = kinds.of(body), body["metadata"]
        path = kind.path(meta.get("namespace", ""), meta["name"], subresource)
        query = {"fieldManager": names.FIELD_MANAGER, "force": "true", **more}
        return await self._request("PATCH", kind, path, query, body)

    async def create(self, body: Body) -> Body:
        """Create an object that nobody else writes (events, leases)."""
        kind = kinds.of(body)
        return await self._request(
            "POST", kind, kind.path(body["metadata"]["namespace"]), {}, body
        )

    async def replace(self, body: Body) -> Body:
        """Replace an object, guarded by the resourceVersion in it."""
        kind, meta = kinds.of(body), body["metadata"]
        return await self._request(
            "PUT", kind, kind.path(meta["namespace"], meta["name"]), {}, body
        )

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """Delete exactly this object; one that is gone, or of another version, is no error."""
        same = {"uid": uid} | ({"resourceVersion": version} if version else {})
        options: Body = {"preconditions": same, "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", kind, kind.path(namespace, name), {}, options)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def watch(
        self, kind: Kind, namespace: str, name: str
    ) -> AsyncGenerator[Body | None, None]:
        """Yield one object as it is now (None: absent), then each time that it changed.

        Ends when the server ends the stream, or says nothing for long: of a single object it
        sends no bookmarks while nothing of its kind changes. The caller calls again.
        """
        selector = {"fieldSelector": f"metadata.name={name}"}
        page = await self._request("GET", kind, kind.path(namespace), selector)
        items = page.get("items") or [None]
        yield items[0]
        query = selector | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": page["metadata"]["resourceVersion"],
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        url = f"{self.server}{kind.path(namespace)}?{urlencode(query)}"
        limits = ClientTimeout(total=_WATCH_SECONDS + 30, sock_read=self.watch_silence)
        try:
            response = await self._send("GET", url, limits=limits)
            async with response.response as stream:
                if stream.status >= _FAILED:
                    raise _refusal(response, _parse(await stream.read()))
                async for event in _events(stream.content):
                    yield None if event["type"] == "DELETED" else event["object"]
        except aiohttp.SocketTimeoutError:
            return
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(503, "Unreachable", f"watch of {name}: {error}") from error

    def session(self, streams: Streams) -> aiohttp.ClientSession:
        """Make a session with our credentials that keeps `streams`, and their pace."""

        async def with_credentials(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            path, query = request.url.path, request.url.query
            is_watch = "watch" in query
            if is_watch:
                await asyncio.sleep(streams.pause(path, time.monotonic()))
            elif request.method == "GET" and "continue" not in query:
                streams.listed(path)
            request.headers.update(await self._headers())
            response = await handler(request)
            if is_watch and response.ok:
                streams.opened(path, response.content, time.monotonic())
            return response

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._api.rest_client.ssl_context),
            middlewares=(with_credentials,),
            read_bufsize=2**21,
        )

    def _fence(self) -> aiohttp.TraceConfig:
        """Make what asks `may_write` again once a write has its connection.

        To get one may take long, and the process may have slept meanwhile.
        """

        async def start(
            _: object, request: SimpleNamespace, params: aiohttp.TraceRequestStartParams
        ) -> None:
            is_write = params.method != "GET" and f"/{kinds.LEASE.plural}" not in params.url.path
            request.write = (params.method, params.url.path) if is_write else None

        async def connected(_: object, request: SimpleNamespace, __: object) -> None:
            if request.write:
                self._refuse_late(*request.write)

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(start)
        trace.on_connection_create_end.append(connected)
        trace.on_connection_reuseconn.append(connected)
        return trace

    def _refuse_late(self, method: str, path: str) -> None:
        if not self.may_write():
            raise ApiError(503, "NotLeading", f"{method} {path}: another operator may lead by now")

    async def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": names.FIELD_MANAGER}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
        return headers

    async def _send(
        self, method: str, url: str, body: Body | None = None, limits: ClientTimeout = _TIMEOUT
    ) -> RESTResponse:
        headers = await self._headers()
        if method == "PATCH":
            headers["Content-Type"] = _APPLY
        send: Callable[..., Awaitable[RESTResponse]] = self._api.rest_client.request
        return await send(method, url, headers=headers, body=body, _request_timeout=limits)

    async def _request(
        self,
        method: str,
        kind: Kind,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Body:
        if method != "GET" and kind is not kinds.LEASE:
            self._refuse_late(method, path)
        url = f"{self.server}{path}"
        if wanted := {key: value for key, value in (query or {}).items() if value}:
            url += "?" + urlencode(wanted)
        try:
            response = await self._send(method, url, body)
            content = _parse(await response.response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            metrics.REQUESTS.labels(method, kind.plural, "none").inc()
            message = f"{method} {path}: no answer: {str(error) or type(error).__name__}"
            raise ApiError(503, "Unreachable", message) from error
        metrics.REQUESTS.labels(method, kind.plural, str(response.status)).inc()
        _log.debug("%s %s %d", method, path, response.status)
        if response.status >= _FAILED:
            raise _refusal(response, content)
        return content


async def _events(content: StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a watch until it ends, be it in the middle of one."""
    async for line in content:
        if not line.endswith(b"\n"):
            return
        event: dict[str, Any] = json.loads(line)
        if event["type"] == "ERROR":
            return
        if event["type"] != "BOOKMARK":
            yield event


def _refusal(response: RESTResponse, content: dict[str, Any]) -> ApiError:
    reason, message = content.get("reason", ""), content.get("message", "")
    causes = (content.get("details") or {}).get("causes") or ()
    words = frozenset(str(cause.get("reason", "")) for cause in causes)
    delay = str(response.response.headers.get("Retry-After", ""))
    return ApiError(
        response.status,
        reason or response.reason,
        message,
        words,
        retry_after=float(delay) if delay.isdecimal() else 0.0,
    )


def _parse(raw: bytes) -> dict[str, Any]:
    """Read a JSON object; a proxy's error page becomes the message of an error."""
    try:
        content = json.loads(raw)
    except ValueError:
        return {"message": raw[:200].decode(errors="replace")}
    return content if isinstance(content, dict) else {"message": str(content)}
