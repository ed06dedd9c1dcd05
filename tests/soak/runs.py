"""One soak: what the plan says, sampled for lies, until all is as it was asked to be."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from soak import verdicts
from soak.hands import Cluster, Leaders, RefusedError
from soak.plans import SERVICES, Plan
from support.samplers import Sampler
from support.terminals import until

REPLICAS = 2
# Kubernetes starts a container that was killed often only after up to five minutes.
SETTLE_SECONDS = 420.0
_FIRST_SECONDS = 180.0
_LOOK_SECONDS = 1.0
_SAMPLER_PAUSE_SECONDS = 0.25
_TELL_SECONDS = 60.0


class Teller(Protocol):
    """Tells the person who waits, and keeps a journal."""

    def say(self, text: str) -> None:
        """Tell, and keep."""

    def note(self, text: str) -> None:
        """Keep."""


@dataclass
class Outcome:
    """What came of it."""

    plan: Plan
    settled: float = 0.0  # seconds; after all of SETTLE_SECONDS there are differences
    differences: list[str] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)
    untold: int = 0
    gaps: list[tuple[float, float]] = field(default_factory=list)
    samples: int = 0
    answered: int = 0
    refused: list[str] = field(default_factory=list)
    stood_still: float = 0.0  # seconds of the machine, in which nothing could be told

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be mended."""
        return not (self.differences or self.lies or self.refused) and self.samples > 0

    def lines(self) -> Iterator[str]:
        """Write the summary."""
        yield f"seed {self.plan.seed}; {len(self.plan.actions)} actions:"
        for deed, count in self.plan.count().most_common():
            yield f"  {count:5d}  {deed}"
        for start, end in self.gaps:
            yield f"nobody led from {start:.1f} to {end:.1f}: {end - start:.1f} s"
        away = sum(end - start for start, end in self.gaps)
        yield f"requests to ready pods: {self.samples}, answered with 200: {self.answered}"
        yield f"nobody led: {len(self.gaps)} times, {away:.0f} s in all"
        yield f"lies: {len(self.lies)}; while nobody led: {self.untold}"
        yield f"the machine stood still: {self.stood_still:.1f} s"
        yield f"as specified after {self.settled:.0f} s; differences: {len(self.differences)}"
        yield from (f"  LIE {line}" for line in self.lies[:20])
        yield from (f"  DIFFERENCE {line}" for line in self.differences[:20])
        yield from (f"  REFUSED {line}" for line in self.refused[:20])


def run(cluster: Cluster, plan: Plan, tell: Teller) -> Outcome:
    """Do it all; the namespace is the caller's."""
    outcome = Outcome(plan)
    before = cluster.scale_operator(REPLICAS)
    try:
        cluster.prepare(REPLICAS)
        tell.say(f"creating {len(plan.first)} models")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda row: cluster.create(*row), plan.first.items()))
        until(
            lambda: verdicts.differences(cluster, plan.first, REPLICAS)[:3],
            lambda found: not found,
            _FIRST_SECONDS,
            "the models that it begins with",
        )
        tell.say(f"all loaded; {len(plan.actions)} actions follow")
        with _watched(cluster, outcome):
            _act(cluster, plan, outcome, tell)
            tell.say("settling")
            _settle(cluster, outcome)
    finally:
        cluster.scale_operator(before)
    return outcome


def _act(cluster: Cluster, plan: Plan, outcome: Outcome, tell: Teller) -> None:
    began, told = time.monotonic(), 0.0
    for done, action in enumerate(plan.actions):
        time.sleep(max(0.0, began + action.at - time.monotonic()))
        try:
            tell.note(f"{time.time():.2f} {action.deed} {action.model} {action.wish or ''}")
            cluster.act(action)
        except (RefusedError, OSError) as error:
            outcome.refused.append(f"{action}: {error}")
        if time.monotonic() - began - told > _TELL_SECONDS:
            told = time.monotonic() - began
            tell.say(f"{told:4.0f} s: {done + 1} actions; the plan is at {action.at:.0f} s")


def _settle(cluster: Cluster, outcome: Outcome) -> None:
    """Wait until nothing differs."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_SECONDS:
        try:
            outcome.differences = verdicts.differences(cluster, outcome.plan.last, REPLICAS)
        except (RefusedError, OSError) as error:
            outcome.differences = [str(error)]
        outcome.settled = time.monotonic() - began
        if not outcome.differences:
            return
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _watched(cluster: Cluster, outcome: Outcome) -> Iterator[None]:
    """Sample all services until the end of the block, then judge."""
    leaders = Leaders(cluster)
    samplers = [
        Sampler(
            cluster.access,
            (cluster.space.namespace, name),
            cluster.values,
            pause=_SAMPLER_PAUSE_SECONDS,
        )
        for name in SERVICES
    ]
    with ExitStack() as stack:
        for sampler in samplers:
            stack.enter_context(_sampling(sampler))
        leaders.start()
        yield
        for sampler in samplers:
            sampler.stop()
        leaders.end()
        time.sleep(verdicts.CATCHING_UP_SECONDS)
    records = [sampler.record for sampler in samplers]
    outcome.gaps = leaders.gaps
    outcome.stood_still = sum(stall.seconds for stall in records[0].stalls)
    outcome.lies, outcome.untold = verdicts.lies(records, cluster.values, leaders.gaps)
    samples = [sample for record in records for sample in record.samples]
    outcome.samples = len(samples)
    outcome.answered = sum(sample.answer.status == 200 for sample in samples)


@contextmanager
def _sampling(sampler: Sampler) -> Iterator[None]:
    """Sample without the sampler's own judgement, which knows nothing of gaps."""
    sampler.__enter__()
    try:
        yield
    finally:
        sampler.stop()
        sampler.end()
