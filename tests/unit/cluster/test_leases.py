"""Who may lead, and what a leader writes."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shoal.cluster import kinds, leases
from shoal.cluster.leases import Elector, LostLeaseError, Move
from shoal.cluster.ports import ApiError
from support.fakes import FakeCluster

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def lease(holder: str, age: float) -> dict[str, Any]:
    body = leases.make(None, "shoal-system", holder, NOW - timedelta(seconds=age))
    body["metadata"]["resourceVersion"] = "1"
    return body


@pytest.mark.parametrize(
    ("body", "unchanged", "move"),
    [
        pytest.param(None, 0, Move.CREATE, id="no-lease"),
        pytest.param(lease("me", 1), 0, Move.RENEW, id="mine"),
        pytest.param(lease("me", 100), 100, Move.RENEW, id="mine-and-old"),
        pytest.param(lease("other", 1), 1, Move.WAIT, id="anothers"),
        pytest.param(lease("other", 100), 14.9, Move.WAIT, id="anothers-whose-clock-is-late"),
        pytest.param(lease("other", -100), 15, Move.TAKE, id="anothers-whose-clock-is-early"),
        pytest.param(lease("", 1), 0, Move.TAKE, id="given-back"),
        pytest.param({"metadata": {}, "spec": {}}, 0, Move.TAKE, id="empty"),
    ],
)
def test_decides(body: dict[str, Any] | None, unchanged: float, move: Move) -> None:
    assert leases.decide(body, "me", unchanged) is move


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
        self._maybe_refuse("replace", kinds.LEASE)
        return self.put(body)

    def holder(self) -> str:
        (held,) = [body for place, body in self.objects.items() if place[0] == "leases"]
        holder: str = held["spec"]["holderIdentity"]
        return holder


class Machine:
    """One candidate, and the time that its machine tells."""

    def __init__(self, cluster: LeaseCluster, name: str = "me") -> None:
        self.time = 100.0
        self.elector = Elector(cluster, "shoal-system", name, lambda: NOW, lambda: self.time)


async def leading(cluster: LeaseCluster) -> Machine:
    machine = Machine(cluster)
    await machine.elector.acquire()
    return machine


async def test_one_acquires_and_gives_back() -> None:
    cluster = LeaseCluster()
    machine = await leading(cluster)
    assert cluster.holder() == "me"
    assert machine.elector.may_write()
    await machine.elector.release()
    assert cluster.holder() == ""
    assert not machine.elector.may_write()


async def test_another_does_not_give_back_what_is_not_its_own() -> None:
    cluster = LeaseCluster()
    cluster.put(lease("other", 1))
    await Machine(cluster).elector.release()
    assert cluster.holder() == "other"


async def test_a_leader_writes_only_while_nobody_else_may_lead() -> None:
    machine = await leading(LeaseCluster())
    machine.time += 9.9
    assert machine.elector.may_write()
    machine.time += 0.1
    assert not machine.elector.may_write()


async def test_a_candidate_writes_nothing() -> None:
    assert not Machine(LeaseCluster()).elector.may_write()


async def test_a_leader_that_cannot_renew_ends_before_another_may_lead(
    naps: list[float],
) -> None:
    cluster = LeaseCluster()
    machine = await leading(cluster)
    began = machine.time
    cluster.refuse["get", "Lease"] = ApiError(503, "Unreachable", "no answer")
    with pytest.raises(LostLeaseError, match="was not renewed"):
        await machine.elector.hold(nap(machine, naps))
    assert machine.time - began == leases.HELD_SECONDS


async def test_a_leader_that_slept_too_long_finds_its_rival(naps: list[float]) -> None:
    cluster = LeaseCluster()
    machine = await leading(cluster)
    machine.time += 60
    (held,) = cluster.objects.values()
    cluster.put(leases.make(held, "shoal-system", "other", NOW))
    with pytest.raises(LostLeaseError, match="is held by other"):
        await machine.elector.hold(nap(machine, naps))
    assert len(naps) == 1


async def test_a_leader_that_slept_too_long_goes_on_where_nobody_took_over(
    naps: list[float],
) -> None:
    cluster = LeaseCluster()
    machine = await leading(cluster)
    machine.time += 60
    assert not machine.elector.may_write()

    async def once(seconds: float) -> None:
        if naps:
            assert machine.elector.may_write()
            raise EndOfTestError
        await nap(machine, naps)(seconds)

    with pytest.raises(EndOfTestError):
        await machine.elector.hold(once)


class EndOfTestError(Exception):
    pass


@pytest.fixture
def naps() -> list[float]:
    return []


def nap(machine: Machine, naps: list[float]) -> Callable[[float], Awaitable[None]]:
    """Let time pass on the machine instead of here."""

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        machine.time += seconds

    return sleep
