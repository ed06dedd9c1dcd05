"""The requests of operator and agents to the API server, from its audit log."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

import stage

from support.audits import Audit

SETTLED_SECONDS = 60
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
OPERATOR = f"system:serviceaccount:{stage.SYSTEM}:"
AGENTS = f"system:serviceaccount:{stage.NAMESPACE}:"
LEASE = "leases"


def begin() -> Audit:
    """Read the log from now on."""
    return Audit(stage.HOME / "cluster", datetime.fromtimestamp(time.time(), UTC))


def verbs(audit: Audit, user: str) -> Counter[str]:
    """Count requests by verb; what keeps the Lease is left out."""
    counts: Counter[str] = Counter()
    for entry in audit.entries(user):
        what = entry.get("objectRef", {}).get("resource")
        if entry["stage"] == "ResponseComplete" and what != LEASE:
            counts[entry["verb"]] += 1
    return counts


def writes(counts: Counter[str]) -> int:
    """Count the requests that change something."""
    return sum(count for verb, count in counts.items() if verb in WRITES)


async def at_rest() -> None:
    """Wait until the operator has made its passes and has none to make."""

    async def told(metric: str) -> float:
        # Where a pod was deleted a moment ago, there may be none to ask.
        return max(await asyncio.to_thread(stage.operators, metric), default=0)

    async def queued() -> tuple[float, float]:
        return await told('shoal_reconciles_total{outcome="done"}'), await told("shoal_queue_keys")

    await stage.until(queued, lambda seen: seen[0] > 0 and seen[1] == 0)
