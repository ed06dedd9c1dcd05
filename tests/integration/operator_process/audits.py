"""What the operator wrote, as the API server recorded it in its audit log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One request that the API server answered."""

    verb: str
    resource: str
    subresource: str
    name: str
    namespace: str  # empty: the whole cluster
    status: int


@dataclass(frozen=True)
class Audit:
    """The log, as far as it tells of one user in one namespace."""

    log: Path
    user: str
    namespace: str

    def mark(self) -> int:
        """Return the place in the log that is reached now."""
        return self.log.stat().st_size

    def requests(self, since: int = 0) -> list[Request]:
        """Return the user's requests in the namespace, also the cluster-wide reads."""
        return [
            Request(
                verb=event["verb"],
                resource=event["objectRef"]["resource"],
                subresource=event["objectRef"].get("subresource", ""),
                name=event["objectRef"].get("name", ""),
                namespace=event["objectRef"].get("namespace", ""),
                status=event["responseStatus"]["code"],
            )
            for event in self._events(since)
            if event["user"]["username"] == self.user
            and event["stage"] == "ResponseComplete"
            and event.get("objectRef", {}).get("namespace") in (self.namespace, None)
            and "objectRef" in event
        ]

    def writes(self, since: int = 0) -> list[Request]:
        """Return the writes, but those of the election."""
        return [
            request
            for request in self.requests(since)
            if request.verb in WRITES and request.resource != "leases"
        ]

    def _events(self, since: int) -> Iterator[dict[str, Any]]:
        with self.log.open("rb") as log:
            if since:
                # A line may be half written when a mark is taken: it is of before.
                log.seek(since - 1)
                log.readline()
            for line in log:
                if line.endswith(b"\n"):
                    yield json.loads(line)
