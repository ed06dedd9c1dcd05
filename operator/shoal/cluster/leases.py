"""Leader election by a Lease: at most one operator reconciles.

`decide` is pure; `Elector` reads and writes the Lease with the resourceVersion as its guard,
as client-go's leader election does. A leader that cannot renew stops before others may take
over; a leader that is told to stop gives the Lease back, so that takeover is immediate.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Protocol

from shoal import names
from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body

_log: Final = logging.getLogger(__name__)
DURATION_SECONDS: Final = 15
_RENEW_SECONDS: Final = 5
_RETRY_SECONDS: Final = 2
_MICROTIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


class LostLeaseError(Exception):
    """Somebody else may be leading now: stop at once."""


class LeaseClient(Protocol):
    """The requests that an election needs."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """Read one object."""

    async def create(self, body: Body) -> Body:
        """Create an object."""

    async def replace(self, body: Body) -> Body:
        """Replace an object, guarded by its resourceVersion."""


class Move(Enum):
    """What a candidate may do."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def decide(lease: Body | None, identity: str, now: datetime) -> Move:
    """Decide from the Lease as it is; an empty holder or an old renewal makes it free."""
    if lease is None:
        return Move.CREATE
    spec = lease.get("spec") or {}
    if spec.get("holderIdentity") == identity:
        return Move.RENEW
    renewed = spec.get("renewTime")
    if not spec.get("holderIdentity") or not renewed:
        return Move.TAKE
    lasts = timedelta(seconds=spec.get("leaseDurationSeconds") or DURATION_SECONDS)
    is_over = now >= datetime.fromisoformat(renewed) + lasts
    return Move.TAKE if is_over else Move.WAIT


def make(lease: Body | None, namespace: str, holder: str, now: datetime) -> Body:
    """Make the Lease as `holder` writes it; an empty holder gives it back."""
    old: dict[str, Any] = (lease or {}).get("spec") or {}
    stamp = now.strftime(_MICROTIME)
    is_new = old.get("holderIdentity") != holder
    return {
        "apiVersion": kinds.LEASE.api_version,
        "kind": kinds.LEASE.kind,
        "metadata": (lease or {}).get("metadata") or {"name": names.LEASE, "namespace": namespace},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": stamp if is_new else old.get("acquireTime", stamp),
            "renewTime": stamp,
            "leaseTransitions": old.get("leaseTransitions", 0) + (1 if is_new and holder else 0),
        },
    }


class Elector:
    """One candidate."""

    def __init__(
        self,
        client: LeaseClient,
        namespace: str,
        identity: str,
        clock: Callable[[], datetime],
        *,
        renew_seconds: float = _RENEW_SECONDS,
    ) -> None:
        self._client = client
        self._renew_seconds = renew_seconds
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self.contact = clock()
        """When the API server last answered."""

    async def acquire(self) -> None:
        """Return once this candidate leads."""
        _log.info("waiting for the lease %s/%s", self._namespace, names.LEASE)
        while not await self._try():  # noqa: ASYNC110 - the Lease is elsewhere: it is polled
            await asyncio.sleep(_RETRY_SECONDS)
        _log.info("leading as %s", self._identity)

    async def hold(self) -> None:
        """Renew for ever.

        Raises:
            LostLeaseError: the lease is another's, or was not renewed for so long that it
                may be another's soon.
        """
        renewed = self._clock()
        while True:
            await asyncio.sleep(self._renew_seconds)
            if await self._try():
                renewed = self._clock()
            elif self._clock() - renewed >= timedelta(seconds=DURATION_SECONDS - _RENEW_SECONDS):
                raise LostLeaseError(f"the lease {self._namespace}/{names.LEASE} was not renewed")

    async def release(self) -> None:
        """Give the lease back, if it is ours."""
        lease = await self._client.get(kinds.LEASE, self._namespace, names.LEASE)
        if decide(lease, self._identity, self._clock()) is Move.RENEW:
            await self._client.replace(make(lease, self._namespace, "", self._clock()))

    async def _try(self) -> bool:
        """Make one move; return whether this candidate leads after it."""
        try:
            async with asyncio.timeout(_RETRY_SECONDS):
                return await self._move()
        except (ApiError, TimeoutError) as error:
            _log.warning("lease %s/%s: %s", self._namespace, names.LEASE, error)
            return False

    async def _move(self) -> bool:
        lease = await self._client.get(kinds.LEASE, self._namespace, names.LEASE)
        self.contact = now = self._clock()
        if decide(lease, self._identity, now) is Move.WAIT:
            return False
        body = make(lease, self._namespace, self._identity, now)
        await (self._client.create(body) if lease is None else self._client.replace(body))
        return True
