"""The pass over one InferenceService and all that belongs to it.

```
 observe ──► plan ──► apply ──► judge ──► report
```
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from shoal.cluster.ports import Agents, ApiError, Cluster
from shoal.cluster.store import Key, Store
from shoal.errors import ReconcileError, StalledError, WaitingError
from shoal.reasons import Reason
from shoal.reconcile import applies, observations, plans, verdicts
from shoal.reconcile.configurations import Configuration
from shoal.reconcile.events import Recorder
from shoal.reconcile.observations import Observed
from shoal.reconcile.plans import Plan
from shoal.reconcile.reports import Report, Reporter
from shoal.reconcile.rollouts import Slots

_OWNERS_IN_HASTE: Final = 10
_OWNERS_LATER_SECONDS: Final = 1.0
_THOUSANDS: Final = 2000  # models about which a decision takes some tenths of a second
T = TypeVar("T")


class Reconciler:
    """Makes passes; holds the hands that they need and no state of its own."""

    def __init__(
        self,
        cluster: Cluster,
        agents: Agents,
        store: Store,
        configuration: Configuration,
        recorder: Recorder,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._agents = agents
        self._store = store
        self._configuration = configuration
        self._reporter = Reporter(cluster, store, recorder, clock)
        self._clock = clock
        self._slots = Slots(store)

    async def reconcile(self, key: Key) -> float | None:
        """Make one pass.

        Returns:
            After how many seconds to look again without being woken; None for never.

        Raises:
            ApiError: the API server refused for now; the statuses say so.
        """
        seen = observations.observe(key, self._store)
        followed = observations.agents_of(seen.pods)
        self._agents.follow(key, followed)
        entry_service = await applies.may_have_entry_service(self._cluster, seen)
        plan = await self._planned(seen, entry_service=entry_service)
        try:
            fault, refusal = await self._apply(seen, plan)
        finally:
            self._slots.give(key)
        # A model that came or went since is the next pass's: this one planned without it.
        now = observations.observe(key, self._store)
        seen = replace(now, service=seen.service, models=seen.models, ending=seen.ending)
        replicas = observations.replicas_of(seen.pods, self._agents)
        if observations.unheard(seen.pods, self._agents):
            report = Report()  # the follower wakes this key as soon as it knows
        else:
            is_passing = refusal is not None and refusal.is_passing
            judging = partial(verdicts.judge, seen, plan, replicas, fault, self._clock())
            judge = partial(judging, is_passing=is_passing)
            verdict = await _decided(seen, judge)
            report = await self._reporter.write(seen, verdict)
        if report.told:
            self._agents.leave(key, but=followed)  # pods that go serve until then
        later, unowned = await self._own(seen, report)
        if error := refusal or unowned:
            raise error
        waits = [each.delay for each in (plan.outdated, fault) if isinstance(each, WaitingError)]
        taken = applies.AGAIN_SECONDS if plan.entry_taken and seen.service else None
        return min(filter(None, (report.again, later, taken, *waits)), default=None)

    async def _planned(self, seen: Observed, *, entry_service: bool) -> Plan:
        """Plan; where that begins an automatic update, only if it is the service's turn."""
        config = self._configuration.current
        make = partial(
            plans.make,
            seen,
            config,
            entry_service=entry_service,
            may_grant_secrets=self._configuration.process.may_grant_secrets(seen.key[0]),
            authority=self._configuration.bundle.text,
        )
        plan = await _decided(seen, make)
        at_most = config.deploy.max_concurrent_rollouts
        if plan.begins_rollout and not self._slots.take(seen.key, at_most):
            plan = await _decided(seen, partial(make, may_roll=False))
        return plan

    async def _apply(
        self, seen: Observed, plan: Plan
    ) -> tuple[ReconcileError | None, ApiError | None]:
        """Apply the plan; return what to say about it, and what to try again for."""
        fault, refusal = plan.fault, None
        try:
            await applies.children(self._cluster, self._store, seen, plan)
        except ReconcileError as error:
            fault = error
        except ApiError as error:
            if not error.is_farewell:
                fault, refusal = StalledError(Reason.RECONCILE_FAILED, str(error)), error
        return fault, refusal

    async def _own(self, seen: Observed, report: Report) -> tuple[float | None, ApiError | None]:
        """Write whose the models are: last, because nobody waits for it.

        While statuses change, people wait for those: most owners are written when they rest.

        Returns:
            After how many seconds to write more, and what was refused.
        """
        at_most = None if report.is_quiet else _OWNERS_IN_HASTE
        refusals: list[ApiError] = []
        is_more = False
        try:
            is_more = await applies.ownerships(self._cluster, self._store, seen, at_most)
        except* ApiError as group:
            refusals.append(_first(group))
        return _OWNERS_LATER_SECONDS if is_more else None, refusals[0] if refusals else None


async def _decided(seen: Observed, decide: Callable[[], T]) -> T:
    """Decide: about thousands of models beside the event loop, which has a lease to renew."""
    return decide() if len(seen.models) < _THOUSANDS else await asyncio.to_thread(decide)


def _first(group: BaseExceptionGroup[ApiError]) -> ApiError:
    error = group.exceptions[0]
    return error if isinstance(error, ApiError) else _first(error)
