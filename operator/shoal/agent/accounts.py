"""Credentials as they are now: read through the API, by name, when a download starts.

```
 the model's own Secret      annotation of the TrainedModel      alone, and for that model only
 else the service's          annotation of the InferenceService  alone
 else the ServiceAccount's   its list `secrets`                  those that are there

 `storage` of a model       an entry of one Secret              alone, for `shoal fetch`
```

One reading of each serves all downloads that start within a second, so that a thousand models
at start are not two thousand requests. Callers: fetches, commands.
"""

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from shoal import names
from shoal.agent.errors import ApiError
from shoal.reasons import Reason
from shoal.storage import entries
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.entries import Entry
from shoal.storage.failures import FetchError, Kind
from shoal.storagespecs import StorageSpec

_LOG = logging.getLogger(__name__)
_FRESH_SECONDS = 1.0
_ROLE_SECONDS = 0.5  # from a new rule in a Role until every API server goes by it
_KEPT = 64  # readings kept for when the API server does not answer
_FORBIDDEN = 403
_NOT_FOUND = 404


class Api(Protocol):
    """The API server, as far as it is asked here."""

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        """Read one object; `kind` is its plural."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose pod it is; `secret` is the one that its InferenceService names, if any."""

    namespace: str
    account: str
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How time passes; tests have it pass at once."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep


class _Reading:
    """What was read last of one Secret, or of the ServiceAccount and all that it lists."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.last: Credentials | None = None
        self.failure: FetchError | None = None
        self.read_at = float("-inf")


class Accounts:
    """What one pod may log in with."""

    def __init__(
        self,
        api: Api,
        identity: Identity,
        environ: Mapping[str, str],
        pace: Pace = Pace(),
    ) -> None:
        self._api = api
        self._namespace = identity.namespace
        self._account = identity.account
        self._secret = identity.secret
        self._environ = environ
        self._pace = pace
        self._readings: dict[str, _Reading] = {}
        self._forbidden: set[str] = set()

    async def read(self, secret: str = "") -> Credentials:
        """Read what a model logs in with; `secret` is the Secret that it names itself.

        When the API server does not answer, the last reading counts; without one, the
        environment alone.

        Raises:
            FetchError: the Secret that was named is not there or may not be read.
        """
        name = secret or self._secret
        reading = self._readings.pop(name) if name in self._readings else _Reading()
        self._readings[name] = reading
        for oldest in list(self._readings)[:-_KEPT]:
            del self._readings[oldest]
        async with reading.lock:
            if self._pace.now() - reading.read_at > _FRESH_SECONDS:
                await self._renew(reading, name)
            if reading.failure is not None:
                raise reading.failure
            return reading.last or Credentials(environ=self._environ)

    async def read_entry(self, spec: StorageSpec) -> tuple[Entry, Credentials]:
        """Read what `storage` of a model names; the ServiceAccount's Secrets are not used then.

        Raises:
            FetchError: it is not there, may not be read, cannot be understood, or nobody answers.
        """
        try:
            secret, problem = await self._secret_of(spec.secret)
            entry = entries.read(spec, secret) if secret else entries.missing(spec, problem)
            account, _, _ = await self._listed()
            holder = _with_authority(await self._trusting(entry.holder), account)
            if not entry.is_login:
                account, holder = _as_account(account, holder), replace(holder, annotations={})
        except ApiError as error:
            message = f"credentials cannot be read: {error}"
            raise FetchError(Kind.TRANSIENT, Reason.CREDENTIALS_NOT_FOUND, message) from error
        lack = (entry.problem or f"{entry.name} has no credentials for it",)
        return entry, Credentials((holder,), account, self._environ, lack)

    async def _renew(self, reading: _Reading, name: str) -> None:
        reading.failure = None
        try:
            reading.last = await (self._named(name) if name else self._all_listed())
        except FetchError as error:
            reading.last, reading.failure = None, error
        except ApiError as error:
            _LOG.warning("cannot read credentials: %s", error)
            missing = (f"credentials cannot be read: {error}",)
            reading.last = reading.last or Credentials(environ=self._environ, missing=missing)
        reading.read_at = self._pace.now()

    async def _named(self, name: str) -> Credentials:
        secret, problem = await self._secret_of(name)
        if secret is None:
            raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, problem)
        return Credentials(secrets=(secret,), environ=self._environ)

    async def _all_listed(self) -> Credentials:
        account, listed, missing = await self._listed()
        secrets: list[Holder] = []
        for name in listed:
            secret, problem = await self._secret_of(name)
            if secret is None:
                missing.append(f"{problem}; it is listed by ServiceAccount {self._who}")
            else:
                secrets.append(_with_authority(secret, account))
        return Credentials(tuple(secrets), account, self._environ, tuple(missing))

    async def _listed(self) -> tuple[Holder | None, list[str], list[str]]:
        try:
            body = await self._api.get("serviceaccounts", self._account)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None, [], [f"ServiceAccount {self._who} does not exist"]
            if error.status == _FORBIDDEN:
                return None, [], [f"ServiceAccount {self._who} may not read itself"]
            raise
        names = [str(row["name"]) for row in body.get("secrets") or [] if row.get("name")]
        return await self._trusting(_holder(body, "ServiceAccount")), names, []

    async def _secret_of(self, name: str) -> tuple[Holder | None, str]:
        where = f"Secret {self._namespace}/{name}"
        try:
            return await self._trusting(_holder(await self._get(name), "Secret")), ""
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None, f"{where} does not exist"
            if error.status != _FORBIDDEN:
                raise
        problem = (
            f"{where} may not be read by ServiceAccount {self._who}: let the chart's "
            f'credentials.secrets reach namespace {self._namespace}, or grant "get" on it'
        )
        return None, problem

    async def _trusting(self, holder: Holder) -> Holder:
        """Add the authority that its ConfigMap has; why not, if that cannot be read."""
        if not holder.bundle:
            return holder
        where = f"ConfigMap {self._namespace}/{holder.bundle}"
        try:
            body = await self._api.get("configmaps", holder.bundle)
        except ApiError as error:
            if error.status not in {_FORBIDDEN, _NOT_FOUND}:
                raise
            if error.status == _NOT_FOUND:
                return replace(holder, problem=f"{where} does not exist")
            problem = (
                f"{where} may not be read by the agent: name it on ServiceAccount {self._who} or "
                f"the InferenceService too, as serving.kserve.io/s3-cabundle-configmap"
            )
            return replace(holder, problem=problem)
        if text := str((body.get("data") or {}).get(names.CA_BUNDLE_KEY, "")).strip():
            return replace(holder, authority=text)
        return replace(holder, problem=f"{where} has no {names.CA_BUNDLE_KEY}")

    async def _get(self, name: str) -> dict[str, Any]:
        """Read a Secret; ask twice before a refusal that is new is believed.

        The operator names the Secret in the agents' Role just before it tells of the model.
        """
        try:
            body = await self._api.get("secrets", name)
        except ApiError as error:
            if error.status != _FORBIDDEN or name in self._forbidden:
                raise
            self._forbidden.add(name)
            await self._pace.pause(_ROLE_SECONDS)
            body = await self._api.get("secrets", name)
        self._forbidden.discard(name)
        return body

    @property
    def _who(self) -> str:
        return f"{self._namespace}/{self._account}"


def _as_account(account: Holder | None, entry: Holder) -> Holder:
    """Have the pod's role go where an entry without keys leads."""
    name = account.name if account else entry.name
    notes = {**(account.annotations if account else {}), **entry.annotations}
    return Holder(name, {}, notes, entry.authority, entry.problem)


def _with_authority(holder: Holder, account: Holder | None) -> Holder:
    """Trust whom the ServiceAccount trusts, where the Secret names nobody."""
    if account is None or holder.bundle:
        return holder
    return replace(holder, authority=account.authority, problem=account.problem)


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
