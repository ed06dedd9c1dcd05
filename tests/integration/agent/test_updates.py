"""Updates, refreshes and ways back under a client that never stops asking."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import pytest

from shoal.modelconfig import Model
from shoal.modelstates import State
from support.agentrigs import until
from support.namespaces import Namespace
from support.traffic import Client, Door

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name
RUBBISH = b"no joblib at all"


@dataclass
class Stage:
    """A rig that serves model `m`, and the clients that ask it all the while."""

    rig: Any
    clients: list[Client]

    def want(self, model: Model) -> None:
        """Wish for a version, and see it in."""
        self.rig.agent.want_by_file(model)
        self.rig.agent.loaded(model)

    def want_bad(self, model: Model, loaded: Model) -> None:
        """Wish for a version that the server refuses; the other one is to stay."""
        self.rig.agent.want_by_file(model)
        state = self.rig.agent.state("m", lambda seen: seen.state is State.FAILED)
        assert (state.wanted, state.loaded) == (model.digest, loaded.digest)

    def downloads(self) -> int:
        lines = self.rig.agent.lines()
        return sum(line["message"].startswith("downloading") for line in lines)

    def first(self, value: float) -> float:
        """Tell when a value was answered first."""
        return min(
            answer.at
            for client in self.clients
            for answer in client.answers
            if answer.value == value
        )

    def values(self) -> list[list[float | None]]:
        """Name the values that each client was answered, each once for its whole run.

        Requests of different clients overlap, so their answers have no order.
        """
        return [
            [value for value, _ in itertools.groupby(answer.value for answer in client.answers)]
            for client in self.clients
        ]

    def ask_once_more(self) -> None:
        """Wait until each client has asked since now."""
        now = time.time()
        until(lambda: all(one.answers and one.answers[-1].asked > now for one in self.clients))


@contextmanager
def asked(rig: Any, clients: int = 4) -> Iterator[Stage]:
    """Ask all the while; every answer is to be a good one."""
    door = Door(f"127.0.0.1:{rig.server.port}", "m", "m")
    stage = Stage(rig, [Client(door, pause=0.002) for _ in range(clients)])
    for client in stage.clients:
        client.start()
    try:
        yield stage
        stage.ask_once_more()
    finally:
        for client in stage.clients:
            client.__exit__(None, None, None)
    failures = [answer for client in stage.clients for answer in client.failures]
    assert failures == []
    assert all(len(client.answers) > 10 for client in stage.clients)


@pytest.fixture
def upload(rig: RigFixture) -> Callable[[str, float | bytes], Model]:
    """Upload under a name of its own; the wish is always for model `m`."""
    return lambda name, value: replace(rig.upload(name, value), name="m")


@pytest.mark.weakness("M15")
def test_good_after_good_after_bad_loses_no_request(make_rig: Any) -> None:
    rig = make_rig(SHOAL_STORE_BYTES="100000000")
    one, two = rig.upload("m", 1.0), replace(rig.upload("two", 2.0), name="m")
    bad = replace(rig.upload("bad", RUBBISH), name="m")
    rig.start(one)
    rig.agent.loaded(one)
    with asked(rig) as stage:
        for _ in range(3):
            stage.want(two)
            stage.want_bad(bad, two)
            stage.want(one)
    assert set(itertools.chain(*stage.values())) == {1.0, 2.0}
    assert stage.downloads() == 3  # each content once, however often it came back


def test_a_changed_model_is_served_at_once(namespace: Namespace, api_rig: Any) -> None:
    namespace.secret(api_rig.bucket.secret())
    first = api_rig.upload("m", 0.0)
    namespace.want(first)
    api_rig.agent.start()
    api_rig.agent.loaded(first)
    versions = [api_rig.upload(f"v{number}", float(number)) for number in range(1, 8)]
    told = []
    with asked(api_rig, clients=2) as stage:
        for version in versions:
            wish = replace(version, name="m")
            namespace.want(wish)
            told.append(time.time())
            api_rig.agent.loaded(wish)
    served = [stage.first(float(number)) for number in range(1, 8)]
    assert median(at - told for at, told in zip(served, told, strict=True)) < 1.0


def test_a_refresh_serves_what_the_address_has_now(rig: RigFixture, upload: Any) -> None:
    plain = upload("one", 1.0)
    rig.start(plain)
    rig.agent.loaded(plain)
    with asked(rig) as stage:
        upload("one", 2.0)
        refreshed = replace(plain, refresh="monday")
        stage.want(refreshed)
        upload("one", RUBBISH)
        stage.want_bad(replace(plain, refresh="tuesday"), refreshed)
        upload("one", 3.0)
        stage.want(replace(plain, refresh="wednesday"))
    assert [told for told in stage.values() if told != sorted(told)] == []
    assert set(itertools.chain(*stage.values())) == {1.0, 2.0, 3.0}


def test_a_refresh_of_the_same_content_fetches_and_loads_nothing(
    rig: RigFixture, upload: Any
) -> None:
    plain = upload("one", 1.0)
    rig.start(plain)
    rig.agent.loaded(plain)
    with asked(rig, clients=1) as stage:
        for token in ("a", "b"):
            stage.want(replace(plain, refresh=token))
    assert (stage.downloads(), rig.server.loads()) == (1, 1)
    assert "nothing is loaded again" in rig.agent.process.log.read_text()


def test_new_content_is_not_looked_at_unless_asked_for(rig: RigFixture, upload: Any) -> None:
    plain = upload("one", 1.0)
    other = rig.upload("other", 5.0)
    rig.start(plain)
    rig.agent.loaded(plain)
    upload("one", 2.0)
    rig.agent.process.end()
    rig.server.process.end()
    rig.server.start()
    rig.agent.start()
    rig.agent.want_by_file(plain, other)
    rig.agent.loaded(plain, other)
    assert rig.server.predict("m") == 1.0


def test_a_refresh_that_cannot_reach_the_store_keeps_serving_and_comes_in_later(
    rig: RigFixture, upload: Any
) -> None:
    plain = upload("one", 1.0)
    rig.start(plain)
    rig.agent.loaded(plain)
    upload("one", 2.0)
    refreshed = replace(plain, refresh="now")
    with asked(rig, clients=1) as stage:
        rig.bucket.process.end()
        stage.want_bad(refreshed, plain)
        rig.bucket.start()
        stage.want(refreshed)
    assert stage.values() == [[1.0, 2.0]]


def test_an_agent_killed_during_updates_loses_no_request(rig: RigFixture, upload: Any) -> None:
    versions = [upload(f"v{number}", float(number)) for number in range(3)]
    rig.start(versions[0])
    rig.agent.loaded(versions[0])
    with asked(rig):
        for number, version in enumerate(versions[1:] + versions[:2]):
            rig.agent.want_by_file(version)
            time.sleep(0.25 * number + 0.9)
            rig.agent.process.end()
            rig.agent.start()
        rig.agent.loaded(versions[1])
    assert rig.server.predict("m") == 1.0
