"""The API server, as little of it as an agent needs: read an object by name, watch a ConfigMap.

Plain aiohttp, because each replica pays for this process's memory. The token is read for every
request: the kubelet replaces it about once an hour.
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout

from shoal.agent.errors import ApiError

_TIMEOUT = ClientTimeout(total=10, sock_connect=3)
_FAILED = 400


class Api:
    """The API server behind one URL, for one namespace."""

    def __init__(
        self,
        session: ClientSession,
        url: str,
        namespace: str,
        token_dir: str,
        *,
        silence_seconds: float = 75,
    ) -> None:
        self._silence_seconds = silence_seconds
        self._session = session
        self._url = f"{url}/api/v1/namespaces/{quote(namespace)}"
        self._tokens = Path(token_dir)
        self._tls: tuple[float, ssl.SSLContext | bool] = (0, True)

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        """Read one object; `kind` is its plural.

        Raises:
            ApiError: it is not there, may not be read, or nobody answers.
        """
        return await self._json(f"{self._url}/{kind}/{quote(name, safe='')}", {})

    async def list_one(self, kind: str, name: str) -> dict[str, Any]:
        """List the objects of one name: none or one, with the version to watch from.

        Raises:
            ApiError: it may not be read, or nobody answers.
        """
        return await self._json(f"{self._url}/{kind}", _selecting(name))

    async def watch_one(
        self, kind: str, name: str, version: str, seconds: int
    ) -> AsyncIterator[dict[str, Any]]:
        """Follow the object of one name for about `seconds`, or until nothing comes any more.

        Raises:
            ApiError: it may not be watched, or the connection broke.
        """
        query = _selecting(name) | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        # Silence is no failure: bookmarks come once a minute, but only where any ConfigMap
        # changed. Yet a dead connection is as silent, so the watch ends and another begins.
        timeout = ClientTimeout(
            total=seconds + 10, sock_connect=3, sock_read=self._silence_seconds
        )
        is_open = False
        try:
            async with self._session.get(
                f"{self._url}/{kind}",
                params=query,
                headers=self._headers(),
                ssl=self._context(),
                timeout=timeout,
            ) as response:
                if response.status >= _FAILED:
                    raise ApiError(response.status, _message(await response.text()))
                is_open = True
                pending = b""
                async for chunk in response.content.iter_any():
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        yield json.loads(line)
        except TimeoutError as error:
            if not is_open:
                raise ApiError(0, f"the API server: {type(error).__name__}: {error}") from error
        except (ClientError, OSError, ValueError) as error:
            raise ApiError(0, f"the API server: {type(error).__name__}: {error}") from error

    async def _json(self, url: str, query: Mapping[str, str]) -> dict[str, Any]:
        try:
            async with self._session.get(
                url,
                params=query,
                headers=self._headers(),
                ssl=self._context(),
                timeout=_TIMEOUT,
            ) as response:
                if response.status >= _FAILED:
                    raise ApiError(response.status, _message(await response.text()))
                body: dict[str, Any] = json.loads(await response.read())
                return body
        except (ClientError, OSError, ValueError) as error:
            raise ApiError(0, f"the API server: {type(error).__name__}: {error}") from error

    def _headers(self) -> dict[str, str]:
        try:
            token = (self._tokens / "token").read_text().strip()
        except OSError:
            return {}
        return {"Authorization": f"Bearer {token}"}

    def _context(self) -> ssl.SSLContext | bool:
        bundle = self._tokens / "ca.crt"
        try:
            changed = bundle.stat().st_mtime
            if changed != self._tls[0]:
                self._tls = (changed, ssl.create_default_context(cafile=str(bundle)))
        except OSError:
            return True
        return self._tls[1]


def _selecting(name: str) -> dict[str, str]:
    return {"fieldSelector": f"metadata.name={name}"}


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
