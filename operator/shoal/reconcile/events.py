"""Writes Kubernetes events about our resources; a lost event is logged, never raised."""

import hashlib
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from shoal import names
from shoal.cluster import kinds
from shoal.cluster.ports import ApiError, Body, Cluster
from shoal.status.events import Notice

_log: Final = logging.getLogger(__name__)
_LONGEST_MESSAGE: Final = 1024  # the API server refuses a longer one


class Recorder:
    """Records events about an object as events of its namespace."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._clock = clock

    async def record(self, subject: Body, events: Iterable[Notice]) -> None:
        """Write one event for each event."""
        for event in events:
            try:
                await self._cluster.create(make(subject, event, self._clock()))
            except ApiError as error:
                if error.is_farewell:
                    return
                _log.warning("event %s: %s", event.reason, error)


def make(subject: Body, event: Notice, now: datetime) -> Body:
    """Make an event; its name tells it apart by subject, time and content."""
    meta = subject["metadata"]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    words = f"{event.reason}{event.message}{now.timestamp()}"
    suffix = hashlib.sha256(words.encode()).hexdigest()[:12]
    return {
        "apiVersion": kinds.EVENT.api_version,
        "kind": kinds.EVENT.kind,
        "metadata": {"name": f"{meta['name']}.{suffix}", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": subject["apiVersion"],
            "kind": subject["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta.get("uid", ""),
            "resourceVersion": meta.get("resourceVersion", ""),
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:_LONGEST_MESSAGE],
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
