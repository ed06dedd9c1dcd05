"""Several replicas: k of n on the way, Ready when all have the model, no request lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.conftest import MakeSpace
from support.spaces import LINE, RANGES, Space
from support.terminals import Body, condition, until
from support.traffic import Client

MODELS = ("line", "ranges")


@pytest.fixture(scope="module")
def space(make_space: MakeSpace) -> Space:
    """A server with one replica and two models."""
    made = make_space("e2e-replicas")
    for name, source in zip(MODELS, ("model1-custom", "model2-custom"), strict=True):
        made.add(name, made.upload(name, source))
    made.serve(minReplicas=1, maxReplicas=3)  # last: it is a host from the start
    made.wait(f"tm {' '.join(MODELS)}")
    return made


def _scale(space: Space, replicas: int) -> None:
    patch = f'{{"spec":{{"predictor":{{"minReplicas":{replicas}}}}}}}'
    space.run(f"kubectl patch inferenceservice server --type merge -p '{patch}'")


@contextmanager
def _history(space: Space, what: str) -> Iterator[list[str]]:
    """Collect what `kubectl get --watch` prints of an object's Ready, LOADED and readiness."""
    seen: list[str] = []
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    command = (
        f"kubectl -n {space.namespace} get {what} --watch"
        f" -o jsonpath='{ready} {{.status.copies.summary}}{{\"\\n\"}}'"
    )
    with space.terminal.follow(command, seen.append):
        until(lambda: len(seen), bool, 10, "the watch begins")
        yield seen


@pytest.mark.timeout(150)
def test_a_second_replica_loses_no_request(space: Space) -> None:
    door = space.through_service("line")
    with Client(door) as inside, Client(space.through_ingress("ranges")) as outside:
        with _history(space, "tm/line") as seen:
            _scale(space, 2)
            until(lambda: seen[-1], "True 2/2".__eq__, 60, "both replicas have the model")
            pods = until(
                lambda: _ready(space), lambda ready: len(ready) == 2, 30, "both are ready"
            )
        more = len(inside.answers) + 100
        until(lambda: len(inside.answers), lambda count: count > more, 30, "both are asked")
    assert len(pods) == 2
    assert list(dict.fromkeys(seen)) == ["True 1/1", "True 1/2", "True 2/2"]
    assert (inside.failures, outside.failures) == ([], [])
    assert {answer.value for answer in inside.answers} == {LINE}
    assert {answer.value for answer in outside.answers} == {RANGES}


def _ready(space: Space) -> list[Body]:
    return [pod for pod in space.pods() if condition(pod, "Ready")["status"] == "True"]


@pytest.mark.timeout(150)
def test_a_new_model_is_ready_when_all_replicas_have_it(space: Space) -> None:
    _scale(space, 2)
    until(lambda: len(_ready(space)), lambda count: count == 2, 60, "two replicas")
    space.add("third", space.upload("third"))
    space.wait("tm/third")
    (row,) = space.rows("kubectl get tm third")
    assert (row["READY"], row["LOADED"]) == ("True", "2/2")
    for pod in _ready(space):
        answer = _ask_pod(space, pod["metadata"]["name"], "third")
        assert '"ready": true' in answer


def _ask_pod(space: Space, pod: str, model: str) -> str:
    url = f"http://127.0.0.1:8080/v2/models/{model}/ready"
    script = f"import urllib.request as u; print(u.urlopen({url!r}).read().decode())"
    return space.run(f'kubectl exec {pod} -c kserve-container -- python3 -c "{script}"')


@pytest.mark.timeout(150)
def test_scaling_down_loses_no_request(space: Space) -> None:
    _scale(space, 2)
    until(lambda: len(_ready(space)), lambda count: count == 2, 60, "two replicas")
    with Client(space.through_service("line")) as client:
        patch = '{"spec":{"predictor":{"minReplicas":1,"maxReplicas":1}}}'
        space.run(f"kubectl patch inferenceservice server --type merge -p '{patch}'")
        until(lambda: len(space.pods()), lambda count: count == 1, 60, "one replica")
        until(lambda: space.get("tm/line")["status"]["copies"]["summary"], "1/1".__eq__, 20, "one")
        more = len(client.answers) + 50
        until(lambda: len(client.answers), lambda count: count > more, 30)
    assert not client.failures
