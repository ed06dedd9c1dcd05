"""Condition Serving, and which of several troubles Ready tells."""

import pytest

from shoal import modelconfig
from shoal.api import trainedmodels as api
from shoal.modelstates import ModelState, State
from shoal.status import trainedmodels
from shoal.status.replicas import Replica
from shoal.status.trainedmodels import Parent
from support import builders

MODEL = api.parse(builders.trained_model("m"))
WANTED = modelconfig.Model("m", MODEL.storage_uri, MODEL.framework, MODEL.memory)
LOADED = builders.model_state(State.LOADED, WANTED)
FAILED = builders.model_state(State.FAILED, WANTED, reason="ModelLoadFailed")
KEPT = builders.model_state(State.FAILED, WANTED, reason="ModelLoadFailed", loaded="former")


def replica(pod: str, state: ModelState, *, ready: bool = True) -> Replica:
    return Replica(pod, ready, builders.report(m=state))


@pytest.mark.parametrize(
    ("replicas", "status", "reason"),
    [
        pytest.param((replica("a", LOADED),), "True", "", id="the-wanted-version"),
        pytest.param((replica("a", KEPT),), "True", "", id="the-version-before"),
        pytest.param(
            (replica("a", LOADED), replica("b", FAILED)),
            "False",
            "ModelNotLoaded",
            id="not-on-every-ready-replica",
        ),
        pytest.param(
            (replica("a", LOADED, ready=False),), "False", "NoReadyReplica", id="none-ready"
        ),
        pytest.param(
            (Replica("a", ready=True, reachable=False),),
            "Unknown",
            "AgentUnreachable",
            id="nobody-to-ask",
        ),
        pytest.param((), "False", "NoReadyReplica", id="no-replica"),
    ],
)
def test_serving(replicas: tuple[Replica, ...], status: str, reason: str) -> None:
    parent = Parent(ready=True, is_mms=True, admitted=True, replicas=replicas)
    judged = trainedmodels.compute(MODEL, parent, old={}, now=builders.NOW)
    row = next(row for row in judged.status["conditions"] if row["type"] == "Serving")
    assert (row["status"], row.get("reason", ""), row["severity"]) == (status, reason, "Info")


def ready_reason(state: ModelState) -> str:
    replicas = (replica("a", state, ready=False),)
    parent = Parent(ready=False, is_mms=True, admitted=True, replicas=replicas)
    judged = trainedmodels.compute(MODEL, parent, old={}, now=builders.NOW)
    rows = {row["type"]: row for row in judged.status["conditions"]}
    assert rows["InferenceServiceReady"]["status"] == "False"
    return str(rows["Ready"]["reason"])


def test_why_a_model_fails_says_more_than_that_its_service_is_not_ready() -> None:
    assert ready_reason(FAILED) == "ModelLoadFailed"


def test_of_a_model_that_has_not_failed_ready_says_that_its_service_is_not() -> None:
    assert ready_reason(LOADED) == "InferenceServiceNotReady"
