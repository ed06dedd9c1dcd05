"""Credentials as they are now: read through the API, by name, when a download starts.

One reading serves all downloads that start within a second, so that a thousand models at start
are not two thousand requests. Callers: fetches.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping
from typing import Any

from shoal.agent.apis import Api, ApiError
from shoal.reasons import Reason
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError, Kind

_LOG = logging.getLogger(__name__)
_FRESH_SECONDS = 1.0
_FORBIDDEN = 403
_NOT_FOUND = 404


class Accounts:
    """What one pod may log in with."""

    def __init__(
        self, api: Api, namespace: str, account: str, secret: str, environ: Mapping[str, str]
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._account = account
        self._secret = secret
        self._environ = environ
        self._lock = asyncio.Lock()
        self._last: Credentials | None = None
        self._read_at = float("-inf")

    async def read(self) -> Credentials:
        """Read the Secrets that the ServiceAccount lists, or only the one that was named.

        When the API server does not answer, the last reading counts; without one, the
        environment alone.

        Raises:
            FetchError: the Secret that was named is not there or may not be read.
        """
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._last is None or now - self._read_at > _FRESH_SECONDS:
                self._last = await self._read_or_keep(self._last)
                self._read_at = asyncio.get_running_loop().time()
            return self._last

    async def _read_or_keep(self, last: Credentials | None) -> Credentials:
        try:
            return await self._read()
        except ApiError as error:
            _LOG.warning("cannot read credentials: %s", error)
            missing = (f"credentials cannot be read: {error}",)
            return last or Credentials(environ=self._environ, missing=missing)

    async def _read(self) -> Credentials:
        if self._secret:
            secret, problem = await self._holder("secrets", self._secret, "Secret")
            if secret is None:
                raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, problem)
            return Credentials(secrets=(secret,), environ=self._environ)
        account, listed, missing = await self._listed()
        secrets = []
        for name in listed:
            secret, problem = await self._holder("secrets", name, "Secret")
            if secret is None:
                who = f"{self._namespace}/{self._account}"
                missing.append(f"{problem}, listed by ServiceAccount {who}")
            else:
                secrets.append(secret)
        return Credentials(tuple(secrets), account, self._environ, tuple(missing))

    async def _listed(self) -> tuple[Holder | None, list[str], list[str]]:
        try:
            body = await self._api.get("serviceaccounts", self._account)
        except ApiError as error:
            if error.status not in {_FORBIDDEN, _NOT_FOUND}:
                raise
            return None, [], [self._problem("ServiceAccount", self._account, error)]
        names = [str(row["name"]) for row in body.get("secrets") or [] if row.get("name")]
        return _holder(body, "ServiceAccount"), names, []

    async def _holder(self, kind: str, name: str, word: str) -> tuple[Holder | None, str]:
        try:
            return _holder(await self._api.get(kind, name), word), ""
        except ApiError as error:
            if error.status not in {_FORBIDDEN, _NOT_FOUND}:
                raise
            return None, self._problem(word, name, error)

    def _problem(self, word: str, name: str, error: ApiError) -> str:
        said = "does not exist" if error.status == _NOT_FOUND else "may not be read by the agent"
        return f"{word} {self._namespace}/{name} {said}"


def _holder(body: Mapping[str, Any], word: str) -> Holder:
    metadata = body.get("metadata") or {}
    return Holder(
        name=f"{word} {metadata.get('namespace', '')}/{metadata.get('name', '')}",
        data={key: _text(value) for key, value in (body.get("data") or {}).items()},
        annotations=metadata.get("annotations") or {},
    )


def _text(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
