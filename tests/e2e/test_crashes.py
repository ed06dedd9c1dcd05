"""Processes die; what is said of the models stays true, and all is well again by itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from e2e.conftest import SYSTEM, MakeSpace
from support.spaces import LINE, RANGES, Space
from support.terminals import Body, condition, until
from support.traffic import Answer, Client, Door

# Between a server's death and the word about it: the agent looks at it every second, and both
# the status and the ingress take a moment to follow.
LAG_SECONDS = 3.0
OUT_SECONDS = 5.0
END = "import os, signal; os.kill(1, signal.SIGTERM)"


@pytest.fixture(scope="module")
def space(make_space: MakeSpace) -> Space:
    """A server with two models."""
    made = make_space("e2e-crashes")
    made.serve()
    made.add("line", made.upload("line"))
    made.add("ranges", made.upload("ranges", "model2-custom"))
    made.wait("tm line ranges")
    return made


@dataclass(frozen=True)
class Word:
    """What was said of a model's Ready, and when it was read."""

    at: float
    ready: str


@contextmanager
def _words(space: Space, model: str) -> Iterator[list[Word]]:
    """Collect each change of a model's Ready, as soon as a watch brings it."""
    words: list[Word] = []
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    watch = f"kubectl -n {space.namespace} get tm/{model} --watch -o jsonpath='{ready}{{\"\\n\"}}'"
    with space.terminal.follow(watch, lambda line: words.append(Word(time.time(), line))):
        until(lambda: len(words), bool, 10, "the watch begins")
        yield words


def _lies(answers: list[Answer], words: list[Word]) -> list[Answer]:
    """List the failed answers around which Ready was True without a break."""
    return [
        answer
        for answer in answers
        if answer.status != 200
        and _said(words, answer.asked - LAG_SECONDS, answer.at + LAG_SECONDS) == {"True"}
    ]


def _said(words: list[Word], start: float, end: float) -> set[str]:
    """List what was said between two moments; at the first of them, the word before counts."""
    before = [word.ready for word in words if word.at <= start] or [words[0].ready]
    return {before[-1], *(word.ready for word in words if start < word.at <= end)}


def _restarts(pod: Body, container: str) -> int:
    rows = pod["status"].get("containerStatuses") or []
    return sum(row["restartCount"] for row in rows if row["name"] == container)


def _container(space: Space, container: str) -> int:
    (pod,) = space.pods()
    return _restarts(pod, container)


@pytest.mark.timeout(120)
def test_a_killed_server_gets_its_models_back_and_nobody_is_told_otherwise(space: Space) -> None:
    before = _container(space, "kserve-container")
    with (
        _words(space, "line") as words,
        Client(space.through_ingress("line"), pause=0.05) as client,
    ):
        space.run(
            f"kubectl exec {space.pod()} -c kserve-container -- python3 -c '{END}'", seconds=20
        )
        until(
            lambda: [word.ready for word in words], lambda seen: "False" in seen, 30, "it is told"
        )
        until(lambda: words[-1].ready, "True".__eq__, 60, "it is loaded again")
        until(client.door.ask, lambda answer: answer.status == 200, LAG_SECONDS, "it answers")
    assert _container(space, "kserve-container") == before + 1
    assert client.failures
    assert not _lies(client.answers, words)
    space.wait("tm/ranges isvc/server", 30)
    assert space.through_ingress("ranges").ask().value == RANGES


@pytest.mark.timeout(120)
def test_a_killed_agent_leaves_the_server_as_it_is(space: Space) -> None:
    before = _container(space, "agent")
    (pod,) = space.pods()
    server = Door(f"{pod['status']['podIP']}:8080", "", "line")
    with Client(server) as client, Client(space.through_ingress("line")) as outside:
        space.run(f"kubectl exec {space.pod()} -c agent -- python3 -c '{END}'", seconds=20)
        until(lambda: _container(space, "agent"), (before + 1).__eq__, 60, "it was restarted")
        space.wait("tm line ranges")
        space.add("third", space.upload("third"))
        space.wait("tm/third")
    assert not client.failures
    # Kubernetes takes a pod out of its Service while one of its containers is not there.
    refused = [answer.at for answer in outside.failures] or [0.0]
    assert max(refused) - min(refused) < OUT_SECONDS


@pytest.mark.timeout(120)
def test_a_killed_operator_leaves_all_as_it_is_and_catches_up(space: Space) -> None:
    said = space.get("tm/line")["status"]
    here = f"-n {SYSTEM} "
    select = "-l app.kubernetes.io/name=shoal"
    with Client(space.through_ingress("line"), pause=0.05) as client:
        space.terminal.run(f"kubectl {here} delete pod {select} --force --grace-period=0")
        space.add("fourth", space.upload("fourth"))  # while nobody is there
        space.wait("tm/fourth", 60)
    assert not client.failures
    assert space.get("tm/line")["status"] == said
    assert space.through_ingress("fourth").ask().value == LINE


@pytest.mark.timeout(120)
def test_a_deleted_pod_is_replaced_with_its_models(space: Space) -> None:
    gone = space.pod()
    with _words(space, "line") as words, Client(space.through_ingress("line"), 0.05) as client:
        space.run(f"kubectl delete pod {gone} --wait=false")
        until(
            lambda: [word.ready for word in words], lambda seen: "False" in seen, 30, "it is told"
        )
        until(lambda: words[-1].ready, "True".__eq__, 60, "it is loaded again")
        until(client.door.ask, lambda answer: answer.status == 200, LAG_SECONDS, "it answers")
    assert space.pod() != gone
    assert not _lies(client.answers, words)


@pytest.mark.timeout(120)
def test_a_stopped_service_comes_back_with_its_models(space: Space) -> None:
    stop = "kubectl annotate isvc/server --overwrite serving.kserve.io/stop"
    space.run(f"{stop}=true")
    until(space.pods, lambda pods: not pods, 30, "no pod is left")
    until(lambda: space.condition("tm/line")["status"], "False".__eq__, 15, "it is told")
    assert condition(space.get("isvc/server"), "Stopped")["status"] == "True"
    space.run(f"{stop}=false")
    space.wait("tm/line isvc/server")
    assert space.through_ingress("line").ask().value == LINE


@pytest.mark.timeout(120)
def test_a_service_that_is_no_host_any_more_leaves_no_list_behind(space: Space) -> None:
    stop: Callable[[str], str] = (
        "kubectl annotate isvc/server serving.kserve.io/stop={} --overwrite".format
    )
    space.run(stop("true"))
    space.run("kubectl delete tm --all")
    until(space.pods, lambda pods: not pods, 30, "no pod is left")
    space.run(stop("false"))
    space.wait("isvc/server")
    left = "configmap/modelconfig-server-0 role/server-agent rolebinding/server-agent"
    until(
        lambda: space.run(f"kubectl get {left} --ignore-not-found"),
        lambda said: not said,
        15,
        left,
    )
