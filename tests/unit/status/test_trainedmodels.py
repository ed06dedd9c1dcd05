from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shoal import modelconfig
from shoal.api import trainedmodels as api
from shoal.modelstates import ModelState, State
from shoal.status import trainedmodels
from shoal.status.replicas import Replica
from shoal.status.trainedmodels import Memory, Parent, TrainedModelStatus
from support import builders
from support.builders import NOW, Body, Json

MODEL = api.parse(builders.trained_model("m", generation=4))
WANTED = modelconfig.Model("m", MODEL.storage_uri, MODEL.framework, MODEL.memory)
OTHER = modelconfig.Model("m", "s3://models/other", MODEL.framework, MODEL.memory)
GI = Decimal(2**30)


def _state(state: State, **given: Json) -> ModelState:
    return builders.model_state(state, WANTED, **given)


def _replica(pod: str, state: ModelState | None, *, ready: bool = True) -> Replica:
    report = builders.report(m=state) if state else builders.report()
    return Replica(pod, ready, report)


def _failed(message: str = "refused", loaded: str = "") -> ModelState:
    return _state(State.FAILED, reason="CredentialsRefused", message=message, loaded=loaded)


LOADED = _state(State.LOADED)
DOWN = _state(State.PENDING, reason="ServerUnavailable")
FAILED_BEFORE = builders.model_state(State.FAILED, OTHER, reason="Odd")
UP = Parent(
    ready=True,
    is_mms=True,
    admitted=True,
    replicas=(_replica("a", LOADED), _replica("b", LOADED)),
    url="http://h/v2/models/m/infer",
    address="http://i/v2/models/m/infer",
)


def _compute(parent: Parent | None, old: Body | None = None) -> TrainedModelStatus:
    return trainedmodels.compute(MODEL, parent, old=old or {}, now=NOW)


def _with(*replicas: Replica) -> Parent:
    return replace(UP, replicas=replicas)


def _row(judged: TrainedModelStatus, kind: str) -> Body:
    return next(row for row in judged.status["conditions"] if row["type"] == kind)


def test_a_model_that_every_ready_replica_has_is_ready() -> None:
    judged = _compute(UP)
    times = {"lastTransitionTime": "2026-11-21T12:00:00Z", "observedGeneration": 4}
    assert judged.settled
    assert judged.status == {
        "observedGeneration": 4,
        "conditions": [
            {"type": "InferenceServiceReady", "status": "True", **times},
            {"type": "IsMMSPredictor", "status": "True", **times},
            {"type": "MemoryResourceAvailable", "status": "True", **times},
            {"type": "ModelLoaded", "status": "True", "reason": "Loaded", **times},
            {"type": "Ready", "status": "True", **times},
            {"type": "Serving", "status": "True", "severity": "Info", **times},
        ],
        "copies": {"total": 2, "loaded": 2, "failed": 0, "summary": "2/2"},
        "url": "http://h/v2/models/m/infer",
        "address": {"url": "http://i/v2/models/m/infer"},
    }


@pytest.mark.parametrize(
    ("replicas", "status", "reason", "settled"),
    [
        pytest.param([], "False", "NoReadyReplica", False, id="no-replica"),
        pytest.param(
            [_replica("a", LOADED, ready=False)],
            "False",
            "NoReadyReplica",
            False,
            id="loaded-but-no-replica-is-ready",
        ),
        pytest.param(
            [_replica("a", LOADED), _replica("b", None, ready=False)],
            "True",
            "Loaded",
            True,
            id="a-replica-that-is-not-ready-takes-no-requests",
        ),
        pytest.param([_replica("a", None)], "False", "Pending", False, id="not-heard-of-yet"),
        pytest.param(
            [_replica("a", _state(State.PENDING))], "False", "Pending", False, id="pending"
        ),
        pytest.param(
            [_replica("a", LOADED), _replica("b", _state(State.DOWNLOADING))],
            "False",
            "Downloading",
            False,
            id="downloading-on-one",
        ),
        pytest.param(
            [_replica("a", _state(State.DOWNLOADING)), _replica("b", _state(State.LOADING))],
            "False",
            "Loading",
            False,
            id="loading-is-further",
        ),
        pytest.param([_replica("a", DOWN)], "False", "ServerUnavailable", False, id="down"),
        pytest.param(
            [_replica("a", _state(State.UNLOADING))], "False", "Pending", False, id="unloading"
        ),
        pytest.param(
            [_replica("a", builders.model_state(State.LOADED, OTHER))],
            "False",
            "Pending",
            False,
            id="the-model-before-is-loaded",
        ),
        pytest.param(
            [_replica("a", builders.model_state(State.LOADING, OTHER))],
            "False",
            "Pending",
            False,
            id="the-model-before-is-loading",
        ),
        pytest.param(
            [_replica("a", FAILED_BEFORE)],
            "False",
            "Pending",
            False,
            id="the-model-before-failed",
        ),
        pytest.param(
            [
                _replica(
                    "a",
                    builders.model_state(State.FAILED, OTHER, loaded=WANTED.digest, reason="Odd"),
                )
            ],
            "True",
            "Loaded",
            True,
            id="changed-back-to-what-answers",
        ),
        pytest.param(
            [_replica("a", LOADED), _replica("b", _failed())],
            "False",
            "CredentialsRefused",
            True,
            id="failed-on-one",
        ),
        pytest.param(
            [_replica("a", _failed(), ready=False)],
            "False",
            "CredentialsRefused",
            True,
            id="failed-where-no-replica-is-ready",
        ),
        pytest.param(
            [_replica("a", LOADED), _replica("b", _failed(), ready=False)],
            "True",
            "Loaded",
            True,
            id="failed-where-no-request-goes",
        ),
        pytest.param(
            [_replica("a", _failed(), ready=False), _replica("b", _state(State.LOADING))],
            "False",
            "Loading",
            False,
            id="loading-where-requests-go",
        ),
        pytest.param(
            [_replica("a", LOADED), Replica("b", ready=True, reachable=False)],
            "Unknown",
            "AgentUnreachable",
            False,
            id="one-agent-is-mute",
        ),
        pytest.param(
            [Replica("b", ready=True, report=builders.report(m=LOADED), reachable=False)],
            "Unknown",
            "AgentUnreachable",
            False,
            id="the-last-word-of-a-mute-agent-is-nothing",
        ),
        pytest.param(
            [Replica("b", ready=True, reachable=False), _replica("c", _failed())],
            "False",
            "CredentialsRefused",
            True,
            id="a-known-failure-outweighs-a-mute-agent",
        ),
        pytest.param(
            [_replica("a", LOADED), Replica("b", ready=True)],
            "False",
            "ModelNotLoaded",
            False,
            id="a-pod-from-before-has-no-agent",
        ),
    ],
)
def test_model_loaded(replicas: list[Replica], status: str, reason: str, *, settled: bool) -> None:
    judged = _compute(_with(*replicas))
    row = _row(judged, "ModelLoaded")
    assert (row["status"], row["reason"]) == (status, reason)
    assert _row(judged, "Ready")["status"] == status
    assert judged.settled is settled


@pytest.mark.parametrize(
    ("parent", "kind", "status", "reason"),
    [
        pytest.param(
            replace(UP, ready=False),
            "InferenceServiceReady",
            "False",
            "InferenceServiceNotReady",
            id="parent-not-ready",
        ),
        pytest.param(
            replace(UP, is_mms=False, admitted=False),
            "IsMMSPredictor",
            "False",
            "IsNotMMSPredictor",
            id="parent-hosts-nothing",
        ),
        pytest.param(
            replace(UP, is_mms=False, admitted=False),
            "MemoryResourceAvailable",
            "Unknown",
            "NotAdmitted",
            id="its-memory-does-not-matter-then",
        ),
        pytest.param(
            replace(UP, admitted=False),
            "MemoryResourceAvailable",
            "Unknown",
            "NotAdmitted",
            id="not-admitted-and-no-limit-known",
        ),
        pytest.param(
            replace(UP, admitted=False, memory=Memory(GI, GI)),
            "MemoryResourceAvailable",
            "False",
            "MemoryResourceNotAvailable",
            id="too-big",
        ),
        pytest.param(
            replace(UP, admitted=False, memory=Memory(GI, GI)),
            "ModelLoaded",
            "False",
            "NotAdmitted",
            id="too-big-is-not-loaded",
        ),
        pytest.param(
            None, "InferenceServiceReady", "False", "InferenceServiceNotFound", id="no-parent"
        ),
        *(
            pytest.param(None, kind, "Unknown", "InferenceServiceNotFound", id=f"no-parent-{kind}")
            for kind in ("IsMMSPredictor", "MemoryResourceAvailable", "ModelLoaded")
        ),
    ],
)
def test_conditions(parent: Parent | None, kind: str, status: str, reason: str) -> None:
    judged = _compute(parent)
    row = _row(judged, kind)
    assert (row["status"], row["reason"]) == (status, reason)
    assert _row(judged, "Ready")["status"] == "False"
    assert row["message"].endswith((".", "which."))


def test_a_missing_parent_is_named() -> None:
    judged = _compute(None)
    assert _row(judged, "Ready")["message"] == (
        'InferenceService "custom-model-mms" does not exist in namespace "default";'
        " the model is served as soon as it does."
    )
    assert not {"url", "address"} & set(judged.status)
    assert judged.status["copies"]["summary"] == "0/0"


@pytest.mark.parametrize(
    ("limit", "admitted", "numbers"),
    [
        pytest.param(2 * GI, GI, ("256Mi", "2Gi", "1Gi"), id="binary-units"),
        pytest.param(GI / 2, Decimal(1024), ("256Mi", "512Mi", "1Ki"), id="smaller-units"),
        pytest.param(
            Decimal(10) ** 9, Decimal(0), ("256Mi", "1000000000 bytes", "0 bytes"), id="bytes"
        ),
    ],
)
def test_a_refusal_names_three_numbers(
    limit: Decimal, admitted: Decimal, numbers: tuple[str, str, str]
) -> None:
    judged = _compute(replace(UP, admitted=False, memory=Memory(limit, admitted)))
    message = _row(judged, "Ready")["message"]
    wanted, limited, taken = numbers
    assert f"wants {wanted} of memory" in message
    assert f"limit of {limited} the" in message
    assert f"take {taken};" in message


def test_copies_count_what_is_known() -> None:
    judged = _compute(
        _with(
            _replica("a", LOADED),
            _replica("b", LOADED, ready=False),
            _replica("c", _failed()),
            Replica("d", ready=True, report=builders.report(m=LOADED), reachable=False),
        )
    )
    assert judged.status["copies"] == {"total": 4, "loaded": 2, "failed": 1, "summary": "2/4"}


def _last_failure(judged: TrainedModelStatus) -> dict[str, Any] | None:
    return judged.status.get("lastFailureInfo")


def test_a_failure_is_kept_from_when_it_was_first_seen() -> None:
    parent = _with(_replica("b", _failed("gone")), _replica("a", _failed()))
    first = _compute(parent)
    later = trainedmodels.compute(MODEL, parent, old=first.status, now=NOW.replace(hour=20))
    assert _last_failure(first) == {
        "reason": "CredentialsRefused",
        "message": "refused",
        "pod": "a",
        "time": "2026-11-21T12:00:00Z",
    }
    assert later.status == first.status


def test_another_failure_has_a_time_of_its_own() -> None:
    first = _compute(_with(_replica("a", _failed())))
    parent = _with(_replica("a", _failed("other")))
    later = trainedmodels.compute(MODEL, parent, old=first.status, now=NOW.replace(hour=20))
    assert later.status["lastFailureInfo"]["time"] == "2026-11-21T20:00:00Z"


@pytest.mark.parametrize(
    ("state", "generation", "stays"),
    [
        pytest.param(_state(State.DOWNLOADING), 4, True, id="during-a-retry-it-stays"),
        pytest.param(_state(State.DOWNLOADING), 3, False, id="a-new-spec-forgets-it"),
        pytest.param(LOADED, 4, False, id="recovery-forgets-it"),
    ],
)
def test_a_failure_is_forgotten(state: ModelState, generation: int, *, stays: bool) -> None:
    old = {"observedGeneration": generation, "lastFailureInfo": {"reason": "X", "pod": "a"}}
    judged = _compute(_with(_replica("a", state)), old)
    assert _last_failure(judged) == (old["lastFailureInfo"] if stays else None)


def test_a_failure_where_no_request_goes_is_told_too() -> None:
    judged = _compute(_with(_replica("a", LOADED), _replica("b", _failed(), ready=False)))
    assert _last_failure(judged) is not None
    assert _row(judged, "Ready")["status"] == "True"


def test_the_message_says_that_the_version_before_still_answers() -> None:
    judged = _compute(_with(_replica("a", _failed(loaded=OTHER.digest))))
    expected = "refused (the version before still answers)"
    assert _row(judged, "ModelLoaded")["message"] == expected


def test_progress_is_counted_over_ready_replicas() -> None:
    judged = _compute(_with(_replica("a", LOADED), _replica("b", _state(State.LOADING))))
    message = "The model is loaded on 1 of 2 ready replicas."
    assert _row(judged, "ModelLoaded")["message"] == message


@pytest.mark.parametrize(
    ("replicas", "words"),
    [
        pytest.param([], "The server has no replica;", id="none"),
        pytest.param(
            [_replica("a", None, ready=False)], "None of the server's 1 replicas is", id="one"
        ),
    ],
)
def test_replicas_that_are_not_ready_are_counted(replicas: list[Replica], words: str) -> None:
    assert _row(_compute(_with(*replicas)), "ModelLoaded")["message"].startswith(words)


def test_what_answers_has_not_failed() -> None:
    judged = _compute(_with(_replica("a", _failed(loaded=WANTED.digest))))
    assert judged.status["copies"] == {"total": 1, "loaded": 1, "failed": 0, "summary": "1/1"}
    assert _last_failure(judged) is None
