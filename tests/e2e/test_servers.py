"""Each model server on the node, with users who ask all the while.

No request fails and no pod leaves the Service because a model is loaded, changed or bad.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.serverkinds import KINDS, Files
from support.spaces import Space
from support.terminals import Body, Terminal, until
from support.traffic import Answer, Client

SMALL = {
    "resources": {
        "requests": {"cpu": "50m", "memory": "256Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
}
SDK = {"modelFormat": {"name": "sklearn"}, "runtime": "shoal-kserve-sdk"}
PREDICTORS: dict[str, Body] = {
    "custom": {
        "containers": [
            {"name": "kserve-container", "image": "localhost/custom-server:dev", **SMALL}
        ]
    },
    "mlserver": {"sklearn": SMALL},
    "mlserver-workers": {
        "sklearn": {**SMALL, "env": [{"name": "MLSERVER_PARALLEL_WORKERS", "value": "1"}]}
    },
    "triton": {"triton": SMALL},
    "kserve-sdk": {"model": {**SDK, **SMALL}},
}
# Seconds: how long a slow model loads, and users of others wait at most, which is less. Of Triton
# it is not: a connection that the ingress keeps open may be on the thread that loads.
SLOWNESS = dict.fromkeys(PREDICTORS, (9, 7)) | {"triton": (4, 10)}


@pytest.fixture(scope="module", autouse=True)
def server_images(terminal: Terminal) -> None:
    """Have the images that the chart's runtimes name."""
    for name in ("triton", "mlserver", "kserve-sdk"):
        options = f"--context servers/{name} --tag localhost/shoal-{name}:dev"
        terminal.run(f"python tests/cluster/image.py {options}", seconds=900)


def serve(space: Space, predictor: Body) -> None:
    space.apply(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "server"},
            "spec": {"predictor": predictor},
        }
    )


@contextmanager
def readiness(space: Space) -> Iterator[list[str]]:
    """Collect what the pod's readiness is, and each time that it changes."""
    seen: list[str] = []
    path = "{.status.conditions[?(@.type=='Ready')].status}"
    command = (
        f"kubectl -n {space.namespace} get pods -w -l serving.kserve.io/inferenceservice=server"
        f" -o jsonpath=\"{path}{{'\\n'}}\""
    )
    with space.terminal.follow(command, seen.append):
        until(lambda: seen, bool, 10, "the watch has begun")
        yield seen


def change(space: Space, model: str, files: Files, folder: str) -> None:
    space.add(model, space.put(folder, dict(files)))


def is_now(space: Space, client: Client, value: float) -> None:
    """Wait until both the ingress and the client, which asks by itself, get this value."""
    door = space.through_ingress(client.door.model)
    until(lambda: door.ask().value, lambda got: got == value, 30, f"{value}")
    until(
        lambda: [answer.value for answer in client.answers[-1:]],
        lambda got: got == [value],
        30,
        f"{value} for the client",
    )


def bad(answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.status != 200][:3]


@pytest.mark.timeout(280)
@pytest.mark.runtime("kserve-mlserver", image="servers/mlserver")
@pytest.mark.runtime("kserve-tritonserver", image="servers/triton")
@pytest.mark.runtime("shoal-kserve-sdk", image="servers/kserve-sdk")
@pytest.mark.parametrize("name", PREDICTORS)
def test_loads_go_unnoticed(name: str, space: Space) -> None:
    kind = KINDS[name.removesuffix("-workers")]
    slow, longest = SLOWNESS[name]
    change(space, "steady", kind.make(7.0), "steady")
    change(space, "moving", kind.make(1.0), "v1")
    serve(space, PREDICTORS[name])
    space.wait("tm/steady tm/moving", 120)
    if name.endswith("-workers"):
        # A known gap: the first request to such a server was once never answered, before any load.
        for door in (space.through_ingress("steady"), space.through_service("moving")):
            until(door.ask, lambda answer: answer.status == 200, 30, "the first answer")
    pod = space.pod()
    with (
        readiness(space) as seen,
        Client(space.through_ingress("steady")) as steady,
        Client(space.through_service("moving")) as moving,
    ):
        change(space, "slow", kind.make(4.0, seconds=slow), "slow")
        change(space, "moving", kind.make(2.0), "v2")
        is_now(space, moving, 2.0)
        space.add("moving", f"s3://{space.namespace}/v1")
        is_now(space, moving, 1.0)
        change(space, "moving", kind.bad, "bad")
        told = space.failing("moving", "ModelLoadFailed", 30)
        assert kind.words in told["message"]
        change(space, "moving", kind.make(3.0), "v3")
        is_now(space, moving, 3.0)
        space.wait("tm/slow tm/moving tm/steady", 60)
    assert space.ask("slow").value == 4.0
    assert bad(steady.answers + moving.answers) == []
    assert {answer.value for answer in steady.answers} == {7.0}
    assert {answer.value for answer in moving.answers} == {1.0, 2.0, 3.0}
    assert max(answer.at - answer.asked for answer in steady.answers) < longest
    assert set(seen) == {"True"}
    (after,) = space.pods()
    assert after["metadata"]["name"] == pod
    assert [box["restartCount"] for box in after["status"]["containerStatuses"]] == [0, 0]
