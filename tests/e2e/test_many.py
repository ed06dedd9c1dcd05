"""A thousand models on one service whose pod is lost: each is called not Ready, then Ready again.

A thousand words are a thousand writes, and until its own is written the last of them is still
READY: for so long the pod serves on, so when `kubectl delete pod` returns, none of them is.
"""

import time

import pytest
import yaml

from e2e.conftest import MakeSpace
from support.agentrigs import artefact
from support.samplers import Sampler
from support.spaces import Space, trained_model
from support.terminals import until
from support.traffic import Client, Door

MODELS = 1024
# No measure of speed (that is benchmarks/burst.py): what the slowest machine's API server takes
# while a pod starts and loads all models on the same two cores.
BESIDE_A_START = 15
LAG = 3.0  # seconds until a thousand words have come to who listens here
LONGEST_DRAIN = 25.0  # seconds; nothing is promised of a machine that takes longer to tell
VALUES = 8  # as many contents; every model has its own address
NAMES = [f"model-{number:04}" for number in range(MODELS)]


def _uri(space: Space, name: str) -> str:
    return f"s3://{space.namespace}/many/{name}"


def _value(name: str) -> float:
    return float(NAMES.index(name) % VALUES)


def _ready(space: Space) -> int:
    """Count what a user sees as READY."""
    return sum(row["READY"] == "True" for row in space.rows("kubectl get trainedmodel"))


def _ready_at(sampler: Sampler, moment: float) -> set[str]:
    """Name the models that were called Ready at a moment."""
    told = sampler.record.words
    last = {name: [word for word in told[name] if word.at <= moment][-1] for name in NAMES}
    return {name for name, word in last.items() if word.ready == "True"}


def _backed_at(sampler: Sampler, moment: float) -> bool:
    """Tell whether a pod that stays took requests at a moment."""
    record = sampler.record
    staying = [told for pod, told in record.places.items() if pod not in record.leaving]
    rows = [[one for one in told if one.at <= moment] for told in staying]
    return any(told[-1].address for told in rows if told)


@pytest.fixture
def space(make_space: MakeSpace) -> Space:
    """A server with all models Ready."""
    made = make_space("e2e-many")
    made.put("many", {f"{name}/model.joblib": artefact(_value(name)) for name in NAMES})
    models = [trained_model(name, _uri(made, name), memory="64Ki") for name in NAMES]
    made.run("kubectl create -f -", stdin=yaml.safe_dump_all(models), seconds=150)
    made.serve(minReplicas=1)
    until(lambda: _ready(made), MODELS.__eq__, 120, "all are READY")
    return made


@pytest.mark.weakness("M1")
@pytest.mark.weakness("M5")
@pytest.mark.timeout(500)
def test_a_thousand_that_lose_their_pod_are_called_not_ready_and_ready_when_it_answers(
    space: Space,
) -> None:
    with space.sample({_uri(space, name): _value(name) for name in NAMES}) as sampler:
        sampler.record.writes_per_second = BESIDE_A_START
        until(lambda: len(sampler.record.samples), lambda count: count > MODELS, 60, "all asked")
        lost = space.pod()
        (address,) = sampler.record.ready_pods().values()
        begun = time.time()
        with Client(Door(f"{address}:8080", "server", NAMES[-1]), pause=0.1) as client:
            space.run(f"kubectl delete pod {lost}", seconds=60)
        ended = max(answer.at for answer in client.answers if answer.status == 200)
        heard = ended + LAG
        time.sleep(max(0, heard - time.time()))
        untold = set() if _backed_at(sampler, heard) else _ready_at(sampler, heard)
        assert not untold or ended - begun > LONGEST_DRAIN, f"{len(untold)} were READY of no pod"
        until(lambda: _ready(space), MODELS.__eq__, 120, "all are READY")
        successor = space.pods()[0]["metadata"]["uid"]
        until(
            lambda: {one.model for one in sampler.record.samples if one.pod == successor},
            set(NAMES).__eq__,
            90,
            "each was asked for at the next pod",
        )
    assert {sampler.record.readiness(name)[-1] for name in NAMES} == {"True"}
