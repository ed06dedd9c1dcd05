"""Who may lead, and what a leader writes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shoal.cluster import leases
from shoal.cluster.leases import Elector, LostLeaseError, Move
from shoal.cluster.ports import ApiError
from support.fakes import FakeCluster

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def lease(holder: str, age: float) -> dict[str, Any]:
    body = leases.make(None, "shoal-system", holder, NOW - timedelta(seconds=age))
    body["metadata"]["resourceVersion"] = "1"
    return body


@pytest.mark.parametrize(
    ("body", "move"),
    [
        pytest.param(None, Move.CREATE, id="no-lease"),
        pytest.param(lease("me", 1), Move.RENEW, id="mine"),
        pytest.param(lease("me", 100), Move.RENEW, id="mine-and-old"),
        pytest.param(lease("other", 1), Move.WAIT, id="anothers"),
        pytest.param(lease("other", 14.9), Move.WAIT, id="anothers-nearly-over"),
        pytest.param(lease("other", 15), Move.TAKE, id="anothers-and-over"),
        pytest.param(lease("", 1), Move.TAKE, id="given-back"),
        pytest.param({"metadata": {}, "spec": {}}, Move.TAKE, id="empty"),
    ],
)
def test_decides(body: dict[str, Any] | None, move: Move) -> None:
    assert leases.decide(body, "me", NOW) is move


def test_a_renewal_keeps_when_it_was_acquired() -> None:
    before = lease("me", 10)
    after = leases.make(before, "shoal-system", "me", NOW)["spec"]
    assert after["acquireTime"] == before["spec"]["acquireTime"]
    assert after["renewTime"] != before["spec"]["renewTime"]
    assert after["leaseTransitions"] == before["spec"]["leaseTransitions"]


def test_a_takeover_counts_as_a_transition() -> None:
    after = leases.make(lease("other", 20), "shoal-system", "me", NOW)["spec"]
    assert (after["holderIdentity"], after["leaseTransitions"]) == ("me", 2)


class LeaseCluster(FakeCluster):
    async def replace(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.put(body)


async def test_one_acquires_and_gives_back() -> None:
    cluster = LeaseCluster()
    elector = Elector(cluster, "shoal-system", "me", lambda: NOW)
    await elector.acquire()
    (held,) = [body for place, body in cluster.objects.items() if place[0] == "leases"]
    assert held["spec"]["holderIdentity"] == "me"
    await elector.release()
    (held,) = [body for place, body in cluster.objects.items() if place[0] == "leases"]
    assert held["spec"]["holderIdentity"] == ""


async def test_another_does_not_give_back_what_is_not_its_own() -> None:
    cluster = LeaseCluster()
    cluster.put(lease("other", 1))
    await Elector(cluster, "shoal-system", "me", lambda: NOW).release()
    (held,) = cluster.objects.values()
    assert held["spec"]["holderIdentity"] == "other"


async def test_a_leader_that_cannot_renew_stops() -> None:
    cluster = LeaseCluster()
    cluster.refuse["get", "Lease"] = ApiError(503, "Unreachable", "no answer")
    ticks = (NOW + timedelta(seconds=5 * n) for n in range(100))
    elector = Elector(cluster, "shoal-system", "me", lambda: next(ticks), renew_seconds=0)
    with pytest.raises(LostLeaseError):
        await elector.hold()
