"""A refresh asked for by annotation: what the status says of it, and when."""

from dataclasses import replace

import pytest

from shoal.api import trainedmodels as api
from shoal.modelstates import State
from shoal.status import events, trainedmodels
from shoal.status.replicas import Replica
from shoal.status.trainedmodels import Parent
from support import builders
from support.builders import NOW, Body

KEY = "serving.kserve.io/refresh"


def _judge(loaded: list[str], annotation: str = "two", served: str = "one") -> Body:
    """Judge a model whose replicas answer with these refreshes of it."""
    body = builders.trained_model("m", annotations={KEY: annotation} if annotation else {})
    body["status"] = {"annotations": {KEY: served}} if served else {}
    model = api.parse(body)
    states = [
        builders.model_state(State.LOADED, replace(model.entry, refresh=it)) for it in loaded
    ]
    replicas = [
        Replica(f"pod-{row}", ready=True, report=builders.report(m=state))
        for row, state in enumerate(states)
    ]
    parent = Parent(ready=True, is_mms=True, admitted=True, replicas=replicas)
    return trainedmodels.compute(model, parent, old=body["status"], now=NOW).status


def _ready(status: Body) -> str:
    return str(next(row["status"] for row in status["conditions"] if row["type"] == "Ready"))


@pytest.mark.parametrize(
    ("loaded", "ready", "told"),
    [
        pytest.param(["one", "one"], "False", "one", id="no-replica-has-it"),
        pytest.param(["two", "one"], "False", "one", id="one-replica-has-it"),
        pytest.param(["two", "two"], "True", "two", id="every-replica-has-it"),
    ],
)
def test_a_refresh_is_ready_when_every_replica_answers_with_it(
    loaded: list[str], ready: str, told: str
) -> None:
    status = _judge(loaded)
    assert (_ready(status), status["annotations"]) == (ready, {KEY: told})


def test_removing_the_annotation_changes_nothing() -> None:
    status = _judge(["one"], annotation="")
    assert (_ready(status), status["annotations"]) == ("True", {KEY: "one"})


def test_a_model_that_was_never_refreshed_says_nothing_of_it() -> None:
    assert "annotations" not in _judge([""], annotation="", served="")


def test_a_refresh_that_is_served_is_told_once() -> None:
    old, new = _judge(["two", "one"]), _judge(["two", "two"])
    told = [notice for notice in events.of_trained_model(old, new) if notice.reason == "Refreshed"]
    assert [notice.message for notice in told] == [
        'Refresh "two": every replica answers with what the storage URI has.'
    ]
    assert events.of_trained_model(new, new) == []
