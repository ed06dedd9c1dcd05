"""Leader election by a Lease: at most one operator reconciles.

`decide` is pure; `Elector` reads and writes the Lease with the resourceVersion as its guard,
as client-go's leader election does: a candidate trusts no clock but its own, and takes the
Lease when it has not seen it change for as long as it lasts.

```
 renewal      +5 renews     +10 writes no more, ends         +15 another may lead
 ├──────────────┼─────────────────┼────────────────────────────┤
```

A leader that is told to stop gives the Lease back, so that takeover is immediate.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any, Final, Protocol

from shoal import names
from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body

_log: Final = logging.getLogger(__name__)
DURATION_SECONDS: Final = 15
_RENEW_SECONDS: Final = 5
HELD_SECONDS: Final = 10
_RETRY_SECONDS: Final = 2
_AGAIN_SECONDS: Final = 1
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


def decide(lease: Body | None, identity: str, unchanged: float) -> Move:
    """Decide from the Lease, and from the seconds for which it was seen as it is."""
    if lease is None:
        return Move.CREATE
    spec = lease.get("spec") or {}
    if spec.get("holderIdentity") == identity:
        return Move.RENEW
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return Move.TAKE
    lasts = spec.get("leaseDurationSeconds") or DURATION_SECONDS
    return Move.TAKE if unchanged >= lasts else Move.WAIT


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
    """One candidate; `clock` stamps what it writes, `timer` is what it goes by."""

    def __init__(
        self,
        client: LeaseClient,
        namespace: str,
        identity: str,
        clock: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._timer = timer
        self._seen: Body | None = None
        self._seen_at = timer()
        self._held_until = timer()
        self._rival = ""
        self.contact = timer()
        """When the API server last answered, by the timer."""

    def may_write(self) -> bool:
        """Tell whether nobody else can be leading yet; asked anew for each write."""
        return self._timer() < self._held_until

    async def acquire(self) -> None:
        """Return once this candidate leads."""
        _log.info("waiting for the lease %s/%s", self._namespace, names.LEASE)
        while not await self._try():  # noqa: ASYNC110 - the Lease is elsewhere: it is polled
            await asyncio.sleep(_RETRY_SECONDS)
        _log.info("leading as %s", self._identity)

    async def hold(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Renew for ever; after a pause of the whole process, only what is still ours.

        Raises:
            LostLeaseError: the lease is another's, or was not renewed for so long that it
                may be another's soon.
        """
        pause: float = _RENEW_SECONDS
        while True:
            await sleep(pause)
            if await self._try():
                pause = _RENEW_SECONDS
                continue
            lease = f"the lease {self._namespace}/{names.LEASE}"
            if self._rival:
                raise LostLeaseError(f"{lease} is held by {self._rival}")
            if not self.may_write():
                raise LostLeaseError(f"{lease} was not renewed")
            pause = _AGAIN_SECONDS

    async def release(self) -> None:
        """Give the lease back, if it is ours, and write nothing from now on.

        Raises:
            ApiError: the API server refused.
            TimeoutError: it gave no answer.
        """
        self._held_until = self._timer()
        async with asyncio.timeout(_RETRY_SECONDS):
            lease = await self._client.get(kinds.LEASE, self._namespace, names.LEASE)
            if decide(lease, self._identity, 0) is Move.RENEW:
                await self._client.replace(make(lease, self._namespace, "", self._clock()))

    async def _try(self) -> bool:
        """Make one move; return whether this candidate leads after it."""
        try:
            async with asyncio.timeout(_RETRY_SECONDS):
                return await self._move()
        except (ApiError, TimeoutError) as error:
            words = str(error) or "no answer"
            _log.warning("lease %s/%s: %s", self._namespace, names.LEASE, words)
            return False

    async def _move(self) -> bool:
        lease = await self._client.get(kinds.LEASE, self._namespace, names.LEASE)
        self.contact = now = self._timer()
        if lease != self._seen:
            self._seen, self._seen_at = lease, now
        self._rival = ""
        if decide(lease, self._identity, now - self._seen_at) is Move.WAIT:
            self._rival = str(lease["spec"]["holderIdentity"]) if lease else ""
            return False
        body = make(lease, self._namespace, self._identity, self._clock())
        await (self._client.create(body) if lease is None else self._client.replace(body))
        self._held_until = now + HELD_SECONDS
        return True
