"""A short soak: `make soak` is the long one."""

import sys

import pytest

from e2e.conftest import MakeSpace
from soak import plans, runs
from soak.hands import Cluster

SEED = 1


class Printer:
    """Tells it all to pytest, which shows it where the test fails."""

    def say(self, text: str) -> None:
        self.note(text)

    def note(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")


@pytest.mark.timeout(900)
def test_kills_and_edits_leave_what_was_asked_for_and_no_lie(make_space: MakeSpace) -> None:
    plan = plans.make(SEED, 60, 40, 1.0)
    assert plan == plans.make(SEED, 60, 40, 1.0), "the same seed makes the same actions"
    outcome = runs.run(Cluster.of(make_space("e2e-soak")), plan, Printer())
    assert outcome.is_well, "\n".join(outcome.lines())
