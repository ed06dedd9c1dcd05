"""Writes the statuses that changed, and the events that follow from the change.

A state that may well pass within a second is held back for one, so that a model that loads
at once costs one write; where many pass, for as long as saying so of all would keep the API
server busy. What ends a True is never held back, and is written first, passing states last.
One report is a second's worth of writes: what is left is judged anew by the next pass, which
comes at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from shoal import logs, reasons
from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body, Cluster
from shoal.cluster.store import Key, Store
from shoal.reconcile.events import Recorder
from shoal.reconcile.observations import Observed
from shoal.reconcile.verdicts import Verdict
from shoal.status import conditions, events
from shoal.status.conditions import TRUE
from shoal.status.trainedmodels import TrainedModelStatus

_log: Final = logging.getLogger(__name__)
_HOLD_SECONDS: Final = 1.0
_PASSING_PER_SECOND: Final = 50  # leaves most of an API server to what stays
_WRITES_AT_ONCE: Final = 30
_WRITES_PER_REPORT: Final = 200  # about what an API server takes in a second
_AT_ONCE_SECONDS: Final = 0.001
_MOST_REFUSALS: Final = 3
_GONE: Final = (404, 409)  # deleted, or deleted and made anew: its next pass reports


def may_hold(body: Body, judged: TrainedModelStatus) -> bool:
    """Tell whether a report may wait: it says a passing state, and Ready is not True now."""
    return not judged.settled and not _was_ready(body)


def _rank(body: Body, judged: TrainedModelStatus) -> int:
    """Put first what is not true any more, then what stays, then what passes."""
    if _was_ready(body):
        return 0
    return 1 if judged.settled else 2


def _was_ready(body: Body) -> bool:
    return bool(
        conditions.find(body.get("status") or {}, reasons.Condition.READY)["status"] == TRUE
    )


@dataclass(frozen=True, slots=True)
class Report:
    """How many models a pass had to report on, and when to look at them again.

    `again` is in seconds, None where nothing is held or left. `told` tells that no status says
    Ready any more that should not.
    """

    due: int = 0
    again: float | None = None
    told: bool = False

    @property
    def is_quiet(self) -> bool:
        """Tell whether there was nothing to report."""
        return not self.due and self.again is None


class Reporter:
    """Remembers nothing but since when it holds a passing state back."""

    def __init__(
        self, cluster: Cluster, store: Store, recorder: Recorder, clock: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._held_since: dict[Key, dict[str, datetime]] = {}
        self._slots = asyncio.Semaphore(_WRITES_AT_ONCE)

    async def write(self, seen: Observed, verdict: Verdict) -> Report:
        """Report on a service and on its models.

        Raises:
            ApiError: the API server refused for now; what it did not refuse is written.
        """
        due, again = self._due(seen, verdict)
        refusals: list[ApiError] = []
        async with asyncio.TaskGroup() as tasks:
            if seen.service is not None and verdict.service is not None:
                writing = partial(self._write_service, seen.service, verdict.service)
                tasks.create_task(self._attempt(writing, refusals))
            for body in due[:_WRITES_PER_REPORT]:
                judged = verdict.models[body["metadata"]["name"]]
                writing = partial(self._write_model, body, judged.status)
                tasks.create_task(self._attempt(writing, refusals))
        if refusals:
            raise refusals[0]
        if len(due) > _WRITES_PER_REPORT:
            again = _AT_ONCE_SECONDS
        return Report(len(due), again, told=not any(map(_was_ready, due[_WRITES_PER_REPORT:])))

    def _due(self, seen: Observed, verdict: Verdict) -> tuple[list[Body], float | None]:
        """List the models to report on, in the order of their weight.

        Returns:
            Also after how many seconds to look again at those that are held back.
        """
        now = self._clock()
        before = self._held_since.pop(seen.key, {})
        passing: dict[str, datetime] = {}
        due = []
        for body in (*seen.models, *seen.ending):
            judged = verdict.models[body["metadata"]["name"]]
            if (body.get("status") or {}) == judged.status:
                continue
            due.append(body)
            if may_hold(body, judged):
                uid = body["metadata"]["uid"]
                passing[uid] = before.get(uid, now)
        patience = timedelta(seconds=max(_HOLD_SECONDS, len(passing) / _PASSING_PER_SECOND))
        held = {uid: since for uid, since in passing.items() if now - since < patience}
        due = [body for body in due if body["metadata"]["uid"] not in held]
        due.sort(key=lambda body: _rank(body, verdict.models[body["metadata"]["name"]]))
        if not held:
            return due, None
        self._held_since[seen.key] = held
        return due, (min(held.values()) + patience - now).total_seconds()

    async def _write_service(self, body: Body, status: Mapping[str, Any]) -> None:
        old = body.get("status") or {}
        if old == status or not await self._apply(kinds.INFERENCE_SERVICE, body, status):
            return
        name = body["metadata"]["name"]
        await self._recorder.record(body, events.of_inference_service(name, old, status))

    async def _write_model(self, body: Body, status: Mapping[str, Any]) -> None:
        old = body.get("status") or {}
        if await self._apply(kinds.TRAINED_MODEL, body, status):
            await self._recorder.record(body, events.of_trained_model(old, status))

    async def _attempt(
        self, writing: Callable[[], Awaitable[None]], refusals: list[ApiError]
    ) -> None:
        """Write one status, unless it is clear by now that none is accepted."""
        async with self._slots:
            if len(refusals) >= _MOST_REFUSALS:
                return
            try:
                await writing()
            except ApiError as error:
                refusals.append(error)

    async def _apply(self, kind: Kind, body: Body, status: Mapping[str, Any]) -> bool:
        """Apply a status to exactly this object; return whether it still exists."""
        meta = body["metadata"]
        place = {key: meta[key] for key in ("name", "namespace", "uid")}
        wanted = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": place,
            "status": status,
        }
        try:
            applied = await self._cluster.apply(wanted, subresource="status")
        except ApiError as error:
            if error.status in _GONE:
                return False
            raise
        self._store.put(kind, applied)
        _tell(kind, body, status)
        return True


def _tell(kind: Kind, body: Body, status: Mapping[str, Any]) -> None:
    """Log a Ready that is another than before."""
    before, after = _readiness(body.get("status") or {}), _readiness(status)
    if before != after:
        meta = body["metadata"]
        extra = logs.subject(meta["namespace"], meta["name"])
        _log.info("%s %s: Ready is %s", kind.kind, meta["name"], after, extra=extra)


def _readiness(status: Mapping[str, Any]) -> str:
    ready = conditions.find(status, reasons.Condition.READY)
    reason = ready.get("reason")
    return f"{ready['status']}, {reason}" if reason else str(ready["status"])
