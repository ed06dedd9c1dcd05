"""A thousand models on one service whose pod is lost: each is called not Ready, then Ready again.

Within BESIDE_A_START: a thousand words are a thousand writes, and until its own is written the
last of them is still READY.
"""

import pytest
import yaml

from e2e.conftest import MakeSpace
from support.agentrigs import artefact
from support.samplers import Sampler
from support.spaces import Space, trained_model
from support.terminals import until

MODELS = 1024
# No measure of speed (that is benchmarks/burst.py): what the slowest machine's API server takes
# while a pod starts and loads all models on the same two cores.
BESIDE_A_START = 30
VALUES = 8  # as many contents; every model has its own address
NAMES = [f"model-{number:04}" for number in range(MODELS)]


def _uri(space: Space, name: str) -> str:
    return f"s3://{space.namespace}/many/{name}"


def _value(name: str) -> float:
    return float(NAMES.index(name) % VALUES)


def _ready(space: Space) -> int:
    """Count what a user sees as READY."""
    return sum(row["READY"] == "True" for row in space.rows("kubectl get trainedmodel"))


def _told_false(sampler: Sampler) -> set[str]:
    return {name for name in NAMES if "False" in sampler.record.readiness(name)}


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
        space.run(f"kubectl delete pod {lost} --wait=false")
        until(lambda: _told_false(sampler), set(NAMES).__eq__, 60, "each was called not READY")
        until(lambda: _ready(space), MODELS.__eq__, 120, "all are READY")
        successor = space.pods()[0]["metadata"]["uid"]
        until(
            lambda: {one.model for one in sampler.record.samples if one.pod == successor},
            set(NAMES).__eq__,
            90,
            "each was asked for at the next pod",
        )
    assert {sampler.record.readiness(name)[-1] for name in NAMES} == {"True"}
