"""Processes die; what is said of the models stays true, and all is well again by itself."""

from collections.abc import Callable  # noqa: TC003 - a local annotation

import pytest

from e2e.conftest import OPERATOR, SYSTEM, MakeSpace, operator
from support import nodes
from support.samplers import Sampler
from support.spaces import LINE, RANGES, Space
from support.terminals import Body, until
from support.traffic import Client, Door

# Bounds for the slowest machine; 1 s is usual.
LAG_SECONDS = 20.0  # until the ingress follows
OUT_SECONDS = 20.0  # without a pod in the Service


@pytest.fixture(scope="module")
def space(make_space: MakeSpace) -> Space:
    """A server with two models."""
    made = make_space("e2e-crashes")
    made.add("line", made.upload("line"))
    made.add("ranges", made.upload("ranges", "model2-custom"))
    made.serve()  # last: it is a host from the start
    made.wait("tm line ranges")
    return made


def _values(space: Space) -> dict[str, float]:
    names = {"line": LINE, "ranges": RANGES, "third": LINE, "fourth": LINE, "fifth": LINE}
    return {f"s3://{space.namespace}/{name}": value for name, value in names.items()}


def _ends(sampler: Sampler, *readiness: str) -> None:
    until(lambda: sampler.record.readiness("line"), list(readiness).__eq__, 60, "what is told")


def _restarts(pod: Body, container: str) -> int:
    rows = pod["status"].get("containerStatuses") or []
    return sum(row["restartCount"] for row in rows if row["name"] == container)


def _container(space: Space, container: str) -> int:
    (pod,) = space.pods()
    return _restarts(pod, container)


def _pod(space: Space) -> Body:
    (pod,) = space.pods()
    return pod


@pytest.mark.weakness("M7")
@pytest.mark.timeout(120)
def test_a_killed_server_gets_its_models_back_and_nobody_is_told_otherwise(space: Space) -> None:
    before = _container(space, "kserve-container")
    with space.sample(_values(space)) as sampler:
        nodes.kill(_pod(space), nodes.SERVER)
        _ends(sampler, "True", "False", "True")
    assert _container(space, "kserve-container") == before + 1
    space.wait("tm/ranges isvc/server", 30)
    assert space.ask("ranges").value == RANGES


@pytest.mark.timeout(120)
def test_a_server_that_accepts_and_never_answers_is_told_of(space: Space) -> None:
    with space.sample(_values(space)) as sampler:
        with nodes.stopped(_pod(space), nodes.SERVER):
            told = ("False", "ServerUnavailable")
            until(lambda: sampler.record.reasons("line"), lambda seen: told in seen, 10, "hung")
            until(lambda: len(sampler.failures("line")), bool, 10, "a request has failed")
        _ends(sampler, "True", "False", "True")
    assert sampler.record.reasons("line")[1] == told


@pytest.mark.timeout(120)
def test_a_killed_agent_leaves_the_server_as_it_is(space: Space) -> None:
    before = _container(space, "agent")
    pod = _pod(space)
    server = Door(f"{pod['status']['podIP']}:8080", "", "line")
    with (
        space.sample(_values(space)) as sampler,
        Client(server) as client,
        Client(space.through_ingress("line")) as outside,
    ):
        nodes.kill(pod, nodes.AGENT)
        until(lambda: _container(space, "agent"), (before + 1).__eq__, 60, "it was restarted")
        space.wait("tm line ranges")
        space.add("third", space.upload("third"))
        space.wait("tm/third")
    # The operator asks the agent, the kubelet looks at the container: whoever is first is told of.
    noticed = (("Unknown", "AgentUnreachable"), ("False", "NoReadyReplica"))
    assert sampler.record.reasons("line")[1] in noticed
    assert not client.failures
    # Kubernetes takes a pod out of its Service while one of its containers is not there.
    refused = [answer.at for answer in outside.failures] or [0.0]
    assert max(refused) - min(refused) < OUT_SECONDS


@pytest.mark.timeout(120)
def test_an_agent_that_the_operator_cannot_reach_makes_its_models_unknown(space: Space) -> None:
    source = operator(space.terminal)["status"]["podIP"]
    port = ("-p", "tcp", "--dport", "9082")
    with space.sample(_values(space)) as sampler:
        with nodes.dropped(_pod(space), "INPUT", "-s", source, *port):
            _ends(sampler, "True", "Unknown")
            told = space.condition("tm/line", "ModelLoaded")
            assert told["reason"] == "AgentUnreachable"
            assert space.pod() in told["message"]
        _ends(sampler, "True", "Unknown", "True")
    assert not sampler.failures("line")


@pytest.mark.timeout(120)
def test_a_killed_operator_leaves_all_as_it_is_and_catches_up(space: Space) -> None:
    said = space.get("tm/line")["status"]
    with space.sample(_values(space)) as sampler, Client(space.through_ingress("line")) as client:
        space.terminal.run(f"kubectl -n {SYSTEM} delete pod {OPERATOR} --force --grace-period=0")
        space.add("fourth", space.upload("fourth"))  # while nobody is there
        space.wait("tm/fourth", 60)
    assert not client.failures
    assert sampler.record.readiness("line") == ["True"]
    assert space.get("tm/line")["status"] == said
    assert space.ask("fourth").value == LINE


@pytest.mark.timeout(120)
def test_while_no_operator_runs_all_that_is_ready_answers(space: Space) -> None:
    scale = f"kubectl -n {SYSTEM} scale deployment/shoal --replicas"
    with space.sample(_values(space)) as sampler:
        space.terminal.run(f"{scale}=0")
        try:
            space.terminal.run(
                f"kubectl -n {SYSTEM} wait --for=delete pod {OPERATOR} --timeout=30s"
            )
            space.add("fifth", space.upload("fifth"))
            more = len(sampler.answers("line")) + 20
            until(lambda: len(sampler.answers("line")), lambda count: count > more, 30, "asked")
            assert sampler.record.readiness("fifth") == ["Unknown"]
        finally:
            space.terminal.run(f"{scale}=1")
        space.wait("tm/fifth", 60)
        assert not sampler.failures("line")
    assert sampler.record.readiness("line") == ["True"]


@pytest.mark.timeout(120)
def test_a_deleted_pod_is_replaced_with_its_models(space: Space) -> None:
    gone = space.pod()
    door = space.through_ingress("line")
    with space.sample(_values(space)) as sampler:
        space.run(f"kubectl delete pod {gone} --wait=false")
        _ends(sampler, "True", "False", "True")
        until(lambda: door.ask(2), lambda answer: answer.status == 200, LAG_SECONDS, "it answers")
    assert space.pod() != gone


@pytest.mark.timeout(120)
def test_a_restarted_pod_loads_its_models_again(space: Space) -> None:
    pod = _pod(space)
    with space.sample(_values(space)) as sampler:
        nodes.kill(pod, nodes.PAUSE)  # the kubelet ends the rest and begins the pod anew
        until(lambda: sampler.record.readiness("line")[1:], bool, 30, "it is told")
        until(lambda: sampler.record.readiness("line")[-1], "True".__eq__, 60, "it is back")
    assert space.pod() == pod["metadata"]["name"]


@pytest.mark.timeout(120)
def test_a_stopped_service_comes_back_with_its_models(space: Space) -> None:
    stop = "kubectl annotate isvc/server --overwrite serving.kserve.io/stop"
    space.run(f"{stop}=true")
    until(space.pods, lambda pods: not pods, 30, "no pod is left")
    until(lambda: space.condition("tm/line")["status"], "False".__eq__, 15, "it is told")
    until(
        lambda: space.condition("isvc/server", "Stopped")["status"], "True".__eq__, 15, "stopped"
    )
    space.run(f"{stop}=false")
    space.wait("tm/line isvc/server")
    assert space.ask("line").value == LINE


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
