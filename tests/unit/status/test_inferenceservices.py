from dataclasses import replace
from typing import Any

import pytest

from shoal.api import inferenceservices as api
from shoal.errors import StalledError, WaitingError
from shoal.reasons import Reason
from shoal.status import inferenceservices
from shoal.status.inferenceservices import Facts
from support import builders
from support.builders import NOW, Body

SERVICE = api.parse(builders.inference_service(generation=7))
AVAILABLE = builders.condition("Available", "True", "MinimumReplicasAvailable", "has them")
UNAVAILABLE = builders.condition("Available", "False", "MinimumReplicasUnavailable", "has not")
DEPLOYED = builders.condition("Progressing", "True", "NewReplicaSetAvailable", "done")
ROLLING = builders.condition("Progressing", "True", "ReplicaSetUpdated", "goes on")
STUCK = builders.condition("Progressing", "False", "ProgressDeadlineExceeded", "too slow")
MUTE = builders.condition("Progressing", "False", "Odd")
REFUSED = builders.condition("ReplicaFailure", "True", "FailedCreate", "quota")
UP = Facts(
    deployment=builders.deployment([AVAILABLE, DEPLOYED]),
    pods=[builders.pod(ready=True)],
    has_ingress=True,
    url="http://a.b",
    address="http://c.d",
    predictor_url="http://e.f",
)


def _compute(facts: Facts, old: Body | None = None) -> dict[str, Any]:
    return inferenceservices.compute(SERVICE, facts, old=old or {}, now=NOW)


def _condition(status: dict[str, Any], kind: str) -> tuple[str, str]:
    rows = {row["type"]: row for row in status["conditions"]}
    return rows[kind]["status"], rows[kind].get("reason", "")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(None, ("False", "DeploymentPending"), id="no-status-yet"),
        pytest.param([], ("False", "DeploymentPending"), id="no-conditions-yet"),
        pytest.param([AVAILABLE], ("True", "MinimumReplicasAvailable"), id="available"),
        pytest.param(
            [AVAILABLE, DEPLOYED], ("True", "NewReplicaSetAvailable"), id="available-and-deployed"
        ),
        pytest.param(
            [AVAILABLE, ROLLING], ("True", "MinimumReplicasAvailable"), id="rolling-while-serving"
        ),
        pytest.param([ROLLING], ("Unknown", "ReplicaSetUpdated"), id="rolling-the-first-time"),
        pytest.param(
            [UNAVAILABLE, ROLLING], ("False", "MinimumReplicasUnavailable"), id="unavailable"
        ),
        pytest.param(
            [UNAVAILABLE, DEPLOYED], ("False", "MinimumReplicasUnavailable"), id="pods-died"
        ),
        pytest.param([AVAILABLE, STUCK], ("False", "ProgressDeadlineExceeded"), id="stuck"),
        pytest.param(
            [UNAVAILABLE, STUCK], ("False", "ProgressDeadlineExceeded"), id="stuck-says-more"
        ),
        pytest.param([AVAILABLE, MUTE], ("True", "MinimumReplicasAvailable"), id="no-message"),
        pytest.param([REFUSED, STUCK, AVAILABLE], ("False", "FailedCreate"), id="failure-wins"),
    ],
)
def test_predictor_ready_from_the_deployment(
    rows: list[Body] | None, expected: tuple[str, str]
) -> None:
    status = _compute(replace(UP, deployment=builders.deployment(rows)))
    assert _condition(status, "PredictorReady") == expected
    assert _condition(status, "Ready")[0] == expected[0]


def test_a_model_that_cannot_be_fetched_is_why_it_is_not_ready() -> None:
    end = {"terminated": {"reason": "Error", "exitCode": 1, "message": "s3://b/m: refused"}}
    box = {"name": "storage-initializer", "state": end, "lastState": {}, "ready": False}
    status = _compute(replace(UP, pods=[builders.pod(init_containers=[box])]))
    for kind in ("PredictorReady", "Ready"):
        (row,) = (row for row in status["conditions"] if row["type"] == kind)
        assert (row["status"], row["reason"]) == ("False", "ModelLoadFailed")
        assert row["message"] == status["modelStatus"]["lastFailureInfo"]["message"]
    assert row["message"] == "s3://b/m: refused"


def test_why_no_pod_is_taken_is_told() -> None:
    status = _compute(replace(UP, deployment=builders.deployment([REFUSED]), pods=()))
    assert status["modelStatus"]["lastFailureInfo"]["message"] == "quota"


@pytest.mark.parametrize(
    ("facts", "may"),
    [
        pytest.param(UP, True, id="ready"),
        pytest.param(
            replace(UP, deployment=builders.deployment([UNAVAILABLE, ROLLING])), True, id="grows"
        ),
        pytest.param(
            replace(UP, deployment=builders.deployment([UNAVAILABLE]), has_ingress=False),
            False,
            id="grows-and-has-no-ingress",
        ),
        pytest.param(replace(UP, has_ingress=False), False, id="no-ingress"),
        pytest.param(replace(UP, deployment=builders.deployment([STUCK])), False, id="stuck"),
        pytest.param(replace(UP, deployment=builders.deployment([REFUSED])), False, id="refused"),
        pytest.param(replace(UP, deployment=None), False, id="no-deployment"),
        pytest.param(replace(UP, stopped=True), False, id="stopped"),
        pytest.param(
            replace(UP, error=StalledError(Reason.INVALID_SPEC, "wrong")), False, id="wrong"
        ),
    ],
)
def test_models_may_be_ready_while_replicas_are_missing(facts: Facts, *, may: bool) -> None:
    assert inferenceservices.may_serve(_compute(facts)) is may


@pytest.mark.weakness("C6")
def test_ready_service() -> None:
    status = _compute(replace(UP, models=(3, 2)))
    times = {"lastTransitionTime": "2026-11-21T12:00:00Z", "observedGeneration": 7}
    deployed = {"reason": "NewReplicaSetAvailable", "message": "done"}
    assert status == {
        "observedGeneration": 7,
        "conditions": [
            {"type": "FieldsHonoured", "status": "True", "severity": "Info", **times},
            {"type": "IngressReady", "status": "True", **times},
            {"type": "PredictorReady", "status": "True", **deployed, **times},
            {"type": "Ready", "status": "True", **times},
            {"type": "Stopped", "status": "False", "severity": "Info", **times},
        ],
        "deploymentMode": "Standard",
        "url": "http://a.b",
        "address": {"url": "http://c.d"},
        "components": {"predictor": {"url": "http://e.f"}},
        "models": {"total": 3, "loaded": 2, "summary": "2/3"},
        "modelStatus": {
            "transitionStatus": "UpToDate",
            "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
            "copies": {"totalCopies": 1, "failedCopies": 0},
        },
    }


@pytest.mark.parametrize(
    ("changed", "kind", "expected"),
    [
        pytest.param(
            {"deployment": None}, "Ready", ("False", "DeploymentNotCreated"), id="no-deployment"
        ),
        pytest.param(
            {"has_ingress": False},
            "IngressReady",
            ("False", "PredictorIngressNotCreated"),
            id="no-ingress",
        ),
        pytest.param(
            {"has_ingress": False},
            "Ready",
            ("False", "PredictorIngressNotCreated"),
            id="ready-needs-the-ingress",
        ),
        pytest.param(
            {"has_ingress": False, "deployment": None},
            "Ready",
            ("False", "DeploymentNotCreated"),
            id="the-predictor-is-told-first",
        ),
        pytest.param(
            {"error": StalledError(Reason.NOT_OWNED, "x")},
            "PredictorReady",
            ("False", "NotOwned"),
            id="stalled",
        ),
        pytest.param(
            {"error": WaitingError(Reason.RECONCILE_FAILED, "x", delay=1)},
            "Ready",
            ("False", "ReconcileFailed"),
            id="failed",
        ),
        pytest.param(
            {"ignored": ["spec.predictor.timeout"]},
            "FieldsHonoured",
            ("False", "FieldsIgnored"),
            id="ignored-fields-are-named",
        ),
        pytest.param(
            {"misspelt": ["spec.predictor.sklearn.ProtocolVersion"]},
            "FieldsHonoured",
            ("True", "FieldsMisspelt"),
            id="misspelt-fields-are-named",
        ),
        pytest.param(
            {"misspelt": ["a"], "ignored": ["b"]},
            "FieldsHonoured",
            ("False", "FieldsIgnored"),
            id="what-is-ignored-comes-first",
        ),
        pytest.param({"misspelt": ["a"]}, "Ready", ("True", ""), id="misspelt-is-no-fault"),
        pytest.param(
            {"ignored": ["spec.predictor.timeout"]},
            "Ready",
            ("True", ""),
            id="ignored-is-no-fault",
        ),
        pytest.param(
            {"entry_taken": True},
            "EntryServiceReady",
            ("False", "NameTaken"),
            id="the-short-name-is-somebody-elses",
        ),
        pytest.param({"entry_taken": True}, "Ready", ("True", ""), id="which-is-no-fault"),
    ],
)
def test_conditions(changed: Body, kind: str, expected: tuple[str, str]) -> None:
    assert _condition(_compute(replace(UP, **changed)), kind) == expected


def test_a_stopped_service_shows_nothing_but_that() -> None:
    status = _compute(replace(UP, stopped=True, models=(2, 0)), _compute(UP))
    assert set(status) == {"observedGeneration", "conditions", "deploymentMode", "models"}
    for kind in ("Ready", "PredictorReady", "IngressReady"):
        assert _condition(status, kind) == ("False", "Stopped")
    assert _condition(status, "Stopped") == ("True", "")


def test_addresses_stay_when_the_service_is_no_longer_ready() -> None:
    old = _compute(UP)
    status = _compute(Facts(error=StalledError(Reason.INVALID_SPEC, "x")), old)
    for key in ("url", "address", "components"):
        assert status[key] == old[key]


def test_addresses_are_absent_until_known() -> None:
    status = _compute(Facts())
    assert not {"url", "address", "components", "models"} & set(status)


def test_the_predictors_url_waits_for_the_predictor() -> None:
    assert "components" not in _compute(replace(UP, deployment=None))


def test_nothing_changes_when_nothing_changed() -> None:
    once = _compute(UP)
    assert inferenceservices.compute(SERVICE, UP, old=once, now=NOW.replace(hour=20)) == once
