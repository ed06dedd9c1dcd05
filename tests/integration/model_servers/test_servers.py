"""The agent beside each real model server, while users ask all the time."""

import time
import urllib.request

import pytest

from integration.model_servers.conftest import Rig
from shoal.modelstates import State
from support.agentrigs import until
from support.traffic import Answer

pytestmark = pytest.mark.timeout(180)


def values(answers: list[Answer]) -> set[float | None]:
    return {answer.value for answer in answers}


def told(answers: list[Answer]) -> list[tuple[int, str]]:
    return [(answer.status, answer.text) for answer in answers if answer.status != 200][:3]


def test_a_model_answers_when_loaded_and_404_when_not(rig: Rig) -> None:
    uri = rig.good("one", 1.0)
    for _ in range(2):  # some servers unload after they said so
        rig.want("one", uri)
        rig.have("one")
        assert rig.door("one").ask().value == 1.0
        rig.drop("one")
        rig.agent.see(lambda seen: "one" not in seen.models)
        assert rig.door("one").ask().status == 404
    assert rig.door("steady").ask().value == 7.0


def test_a_bad_model_is_told_in_the_servers_words_and_harms_nobody(rig: Rig) -> None:
    with rig.client("steady") as client:
        rig.want("bad", rig.bad("bad"))
        state = rig.agent.state("bad", lambda seen: seen.state is State.FAILED)
        assert (state.loaded, state.reason) == ("", "ModelLoadFailed")
        assert rig.kind.words in state.message
        assert "Traceback" not in state.message
        assert "\n" not in state.message
        assert rig.door("bad").ask().status in {400, 404}
        rig.good("bad", 5.0)  # mended where it is
        rig.have("bad")
    assert rig.door("bad").ask().value == 5.0
    rig.drop("bad")
    assert values(client.answers) == {7.0}, told(client.answers)


def test_updates_under_fire_lose_no_request(rig: Rig) -> None:
    """Good to good, back, good to bad, bad to good: each answer is of a version that may be."""
    uris = {1.0: rig.good("v1", 1.0), 2.0: rig.good("v2", 2.0), 3.0: rig.good("v3", 3.0)}
    bad = rig.bad("v-bad")
    rig.want("m", uris[1.0])
    rig.have("m")
    spans: list[tuple[float, float, set[float]]] = []
    old = 1.0
    with rig.client("m") as client:
        for new in (2.0, 1.0, None, 3.0):
            since = time.time()
            if new is None:
                rig.want("m", bad)
                state = rig.agent.state("m", lambda seen: seen.state is State.FAILED)
                assert state.loaded
                time.sleep(2)  # it is tried again meanwhile
                may = {old}
            else:
                rig.want("m", uris[new])
                rig.have("m")
                may = {old, new}
                old = new
            settled = time.time()
            spans.append((since, settled, may))
            time.sleep(0.3)
            spans.append((settled, time.time(), {old}))
    assert rig.door("m").ask().value == 3.0
    rig.drop("m")
    assert told(client.answers) == []
    for start, end, may in spans:
        within = [each for each in client.answers if start <= each.asked and each.at <= end]
        assert values(within) <= may, (start, end)
    assert len(client.answers) > 20


def test_a_slow_load_holds_up_nobody(rig: Rig) -> None:
    # A new connection to Triton may fall to the thread that loads, and waits for it.
    slow, longest = (4, 10) if rig.kind.name == "triton" else (8, 6)
    uri = rig.good("slow", 4.0, seconds=slow)
    with rig.client("steady") as client:
        rig.want("slow", uri)
        rig.have("slow")
    rig.drop("slow")
    assert values(client.answers) == {7.0}, told(client.answers)
    assert max(answer.at - answer.asked for answer in client.answers) < longest


def test_a_load_of_what_is_loaded_harms_nobody(rig: Rig) -> None:
    path = f"http://127.0.0.1:{rig.port}/v2/repository/models/steady/load"
    head = {"Content-Type": "application/json"}
    with rig.client("steady") as client:
        for count in (5, 10, 15):
            request = urllib.request.Request(path, b"{}", head)
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
                assert answer.status == 200
            until(lambda count=count: len(client.answers) >= count)
    assert values(client.answers) == {7.0}, told(client.answers)


def test_a_killed_server_gets_all_its_models_back(rig: Rig) -> None:
    for name, value in (("a", 1.0), ("b", 2.0)):
        rig.want(name, rig.good(name, value))
    rig.have("a", "b")
    rig.server.end()
    rig.agent.see(lambda seen: not any(state.loaded for state in seen.models.values()))
    rig.start_server()
    rig.have("a", "b", "steady")
    answers = [rig.door(name).ask().value for name in ("a", "b", "steady")]
    assert answers == [1.0, 2.0, 7.0]
    rig.drop("a", "b")
    until(lambda: rig.door("a").ask().status == 404)
