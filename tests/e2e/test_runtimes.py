"""Runtimes on a real node: a server by its model's format, and what becomes of its runtime."""

from collections.abc import Callable, Iterator

import pytest

from e2e.conftest import MakeSpace, Release, now
from support.audits import Audit
from support.spaces import IMAGE, LINE, Space
from support.terminals import Body, condition, until
from support.traffic import Client

SERVER = "by-format"
RUNTIME = "shoal-custom"
SMALL = (
    f"--set runtimes.custom.image={IMAGE}"
    " --set runtimes.custom.resources.requests.cpu=50m"
    " --set runtimes.custom.resources.requests.memory=192Mi"
)
DISABLED = "serving.kserve.io/disable-auto-update"
REMOVE = f"kubectl delete clusterservingruntime {RUNTIME} --ignore-not-found"


@pytest.fixture(scope="module")
def space(make_space: MakeSpace, release: Release, audit: Audit) -> Iterator[Space]:
    """A server of the chart's runtime for servers of one's own, with one model."""
    release.terminal.run(REMOVE)
    release.install(SMALL)
    made = make_space("e2e-runtimes")
    made.add("line", made.upload("line"), SERVER)
    made.apply(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": SERVER},
            "spec": {"predictor": {"model": {"modelFormat": {"name": "custom"}}}},
        }
    )
    made.wait("tm/line", 90)
    yield made
    with audit.gap(now):  # the agent outlives its Role
        made.run(f"kubectl delete inferenceservice {SERVER}")
        made.gone(SERVER)
    release.install()
    release.terminal.run(REMOVE)


def _uid(space: Space) -> str:
    path = "-o jsonpath='{.metadata.uid}' --ignore-not-found"
    return space.terminal.run(f"kubectl get clusterservingruntime {RUNTIME} {path}")


@pytest.mark.runtime("shoal-custom", image="examples/custom-server")
def test_a_format_is_served_by_the_charts_runtime(space: Space) -> None:
    body = space.get(f"isvc/{SERVER}")
    assert body["status"]["clusterServingRuntimeName"] == RUNTIME
    assert condition(body, "RuntimeAvailable")["status"] == "True"
    assert space.through_service("line", SERVER).ask().value == LINE


def test_one_that_is_deleted_comes_back_and_breaks_nothing(space: Space) -> None:
    pod, uid = space.pod(SERVER), _uid(space)
    with Client(space.through_service("line", SERVER)) as client:
        space.terminal.run(REMOVE)
        until(lambda: _uid(space), lambda seen: seen not in ("", uid), 20, "it is back")
        space.wait(f"isvc/{SERVER}", kind="RuntimeAvailable")
    assert client.answers
    assert client.failures == []
    assert space.pod(SERVER) == pod


def test_one_that_changes_rolls_without_a_hole(space: Space, release: Release) -> None:
    pod = space.pod(SERVER)
    with Client(space.through_service("line", SERVER)) as client:
        release.install(SMALL, "--set runtimes.custom.resources.requests.cpu=60m")
        until(lambda: space.pods(SERVER), _only_another(pod), 90, "it rolled")
    assert client.answers
    assert client.failures == []
    space.wait("tm/line")


def test_one_whose_updates_are_disabled_stays_until_its_user_wants_it(
    space: Space, release: Release
) -> None:
    def why() -> str:
        reason: str = condition(space.get(f"isvc/{SERVER}"), "PodsCurrent").get("reason", "")
        return reason

    pod = space.pod(SERVER)
    space.run(f"kubectl annotate isvc/{SERVER} {DISABLED}=true")
    release.install(SMALL, "--set runtimes.custom.resources.requests.cpu=70m")
    until(why, lambda seen: seen == "Outdated", 30, "it says so")
    assert space.pod(SERVER) == pod
    assert space.through_service("line", SERVER).ask().value == LINE

    space.run(f"kubectl annotate isvc/{SERVER} {DISABLED}-")
    until(lambda: space.pods(SERVER), _only_another(pod), 90, "it rolled")
    space.wait("tm/line")


def _only_another(pod: str) -> Callable[[list[Body]], bool]:
    def is_other(pods: list[Body]) -> bool:
        return [body["metadata"]["name"] == pod for body in pods] == [False]

    return is_other
