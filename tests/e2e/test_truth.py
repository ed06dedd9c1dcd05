"""The truth table, as far as models go: what is said while they load, change, fail and end.

Each row has a client that asks every ready pod all the while and fails the test on a lie
(`support.truths`). Rows in which processes die are in test_crashes.py, those in which the API
server is away in the ring without a node.
"""

import os

import pytest

from e2e.conftest import MakeSpace, now
from support import nodes
from support.agentrigs import artefact
from support.audits import Audit
from support.samplers import Sampler
from support.spaces import Space, service, trained_model
from support.terminals import Body, condition, until

FIRST, SECOND = 1.0, 2.0
LATE = f"late-{os.getpid()}"  # the bucket outlives a run of the tests
FILES = {"first": FIRST, "second": SECOND, "steady": 5.0, LATE: 6.0, "extra": 7.0}


@pytest.fixture(scope="module")
def space(make_space: MakeSpace) -> Space:
    """A server with two models, `line` and `steady`."""
    made = make_space("e2e-truth")
    for name, value in FILES.items():
        if name != LATE:
            made.put(name, {"model.joblib": artefact(value)})
    made.put("garbage", {"model.joblib": b"this was never a model"})
    made.add("line", _uri(made, "first"))
    made.add("steady", _uri(made, "steady"))
    made.serve(minReplicas=1, maxReplicas=3)  # last: it is a host from the start
    made.wait("tm line steady")
    return made


def _uri(space: Space, name: str) -> str:
    return f"s3://{space.namespace}/{name}"


def _sample(space: Space, server: str = "server") -> Sampler:
    values = {_uri(space, name): value for name, value in FILES.items()}
    return space.sample(values | {_uri(space, "garbage"): -1.0}, server)


def _point(space: Space, model: str, name: str) -> None:
    patch = f'{{"spec":{{"model":{{"storageUri":"{_uri(space, name)}"}}}}}}'
    space.run(f"kubectl patch tm {model} --type merge -p '{patch}'")


def _answers(sampler: Sampler, model: str, value: float) -> None:
    until(
        lambda: [answer.value for answer in sampler.answers(model)[-1:]],
        [value].__eq__,
        30,
        f"{model} answers {value}",
    )


def _told(sampler: Sampler, model: str, ready: str, reason: str = "", seconds: int = 60) -> None:
    until(
        lambda: sampler.record.reasons(model)[-1:],
        [(ready, reason)].__eq__,
        seconds,
        f"{model} is {ready} {reason}",
    )


@pytest.mark.weakness("M1")
@pytest.mark.timeout(120)
def test_a_model_that_is_nowhere_is_never_ready_and_is_once_it_is_there(space: Space) -> None:
    with _sample(space) as sampler:
        space.add("late", _uri(space, LATE))
        space.failing("late", "ModelNotFound")
        until(lambda: len(sampler.failures("late")), lambda count: count > 10, 20, "it is asked")
        assert "True" not in sampler.record.readiness("late")
        space.put(LATE, {"model.joblib": artefact(FILES[LATE])})
        _told(sampler, "late", "True")
        assert not sampler.failures("steady")
    space.run("kubectl delete tm late")


@pytest.mark.timeout(120)
def test_a_model_that_the_server_refuses_is_never_ready(space: Space) -> None:
    with _sample(space) as sampler:
        space.add("bad", _uri(space, "garbage"))
        told = space.failing("bad", "ModelLoadFailed")
        assert "/mnt/models/bad/model.joblib" in told["message"], "the server's own words"
        until(lambda: len(sampler.failures("bad")), lambda count: count > 10, 20, "it is asked")
        space.run("kubectl delete tm bad")
        assert "True" not in sampler.record.readiness("bad")
        assert not sampler.failures("steady")


@pytest.mark.weakness("M15")
@pytest.mark.timeout(120)
def test_a_failed_reload_keeps_the_old_model_serving_and_not_ready(space: Space) -> None:
    with _sample(space) as sampler:
        _point(space, "line", "garbage")
        told = space.failing("line", "ModelLoadFailed")
        assert "/mnt/models/line/model.joblib" in told["message"], "the server's own words"
        assert space.condition("tm/line", "Serving")["status"] == "True"
        _point(space, "line", "first")
        _told(sampler, "line", "True")
    assert {answer.value for answer in sampler.answers("line")} == {FIRST}


@pytest.mark.timeout(120)
def test_a_changed_model_is_not_ready_until_the_new_one_answers(space: Space) -> None:
    with _sample(space) as sampler:
        until(lambda: sampler.answers("line"), bool, 10, "it is asked")
        _point(space, "line", "second")
        until(lambda: sampler.record.readiness("line")[-2:], ["False", "True"].__eq__, 30, "it is")
        more = len(sampler.answers("line")) + 5
        until(lambda: len(sampler.answers("line")), lambda count: count > more, 10, "it is asked")
    answers = [answer.value for answer in sampler.answers("line")]
    assert answers == sorted(answers, key=str), "first the old one, then the new one"
    assert {*answers} == {FIRST, SECOND}


@pytest.mark.weakness("M3")
@pytest.mark.timeout(120)
def test_a_model_that_is_changed_back_at_once_answers_as_before(space: Space) -> None:
    with _sample(space) as sampler:
        _point(space, "line", "first")
        _answers(sampler, "line", FIRST)
        for name in ("second", "first", "second", "first"):
            _point(space, "line", name)
        _told(sampler, "line", "True")
        until(
            lambda: {answer.value for answer in sampler.answers("line")[-12:]},
            {FIRST}.__eq__,
            10,
            "it answers as before",
        )
        assert not sampler.failures("line")


def _ready(space: Space) -> list[Body]:
    return [pod for pod in space.pods() if condition(pod, "Ready")["status"] == "True"]


@pytest.mark.timeout(180)
def test_a_model_that_one_of_two_replicas_has_is_not_ready(space: Space) -> None:
    patch = '{"spec":{"predictor":{"minReplicas":%d,"maxReplicas":%d}}}'
    scale = "kubectl patch isvc server --type merge -p '{}'".format
    with _sample(space) as sampler:
        space.run(scale(patch % (2, 2)))
        without, _ = until(lambda: _ready(space), lambda pods: len(pods) == 2, 60, "two replicas")
        assert set(sampler.record.readiness("line")) == {"True"}, "it grows without a word"
        # The agent of one replica cannot reach the bucket.
        with nodes.dropped(without, "OUTPUT", "-p", "tcp", "--dport", "9000"):
            space.add("extra", _uri(space, "extra"))
            until(
                lambda: (
                    space.get("tm/extra").get("status", {}).get("copies", {}).get("summary", "")
                ),
                "1/2".__eq__,
                30,
                "one replica has it",
            )
            assert space.condition("tm/extra")["status"] == "False"
            answers = sampler.answers("extra")
            until(
                lambda: {answer.status for answer in sampler.answers("extra")[len(answers) :]},
                {200, 404}.__le__,
                20,
                "one answers and one does not",
            )
        _told(sampler, "extra", "True")
        assert space.get("tm/extra")["status"]["copies"]["summary"] == "2/2"
        space.run(scale(patch % (1, 1)))
        until(lambda: len(space.pods()), (1).__eq__, 60, "one replica")
        assert set(sampler.record.readiness("line")) == {"True"}
        assert not sampler.failures("line")
    space.run("kubectl delete tm extra")


@pytest.fixture
def passing(space: Space) -> Space:
    """A second server, `passing`, with a model of its own."""
    space.add("own", _uri(space, "first"), "passing")
    space.serve("passing")
    space.wait("tm/own")
    return space


@pytest.mark.timeout(150)
def test_a_deleted_parent_takes_its_models_and_a_new_one_begins_anew(
    passing: Space, audit: Audit
) -> None:
    with audit.gap(now), _sample(passing, "passing") as sampler:  # agents outlive their Roles
        passing.run("kubectl delete isvc passing --wait=true", seconds=60)
        until(
            lambda: passing.run("kubectl get tm own --ignore-not-found"),
            lambda said: not said,
            30,
            "its model is gone",
        )
        until(lambda: sampler.record.readiness("own")[-1], "".__eq__, 15, "its end was seen")
        passing.apply(service("passing"))
        passing.apply(trained_model("own", _uri(passing, "second"), "passing"))
        _told(sampler, "own", "True")
        _answers(sampler, "own", SECOND)
    assert "" in sampler.record.readiness("own"), "it was gone in between"
    with audit.gap(now):
        passing.run("kubectl delete isvc passing")
        passing.gone("passing")


@pytest.mark.timeout(240)
def test_a_deleted_namespace_says_nothing_untrue_and_is_gone(
    make_space: MakeSpace, audit: Audit
) -> None:
    made = make_space("e2e-truth-ends")
    made.put("first", {"model.joblib": artefact(FIRST)})
    made.add("line", _uri(made, "first"))
    made.serve()
    made.wait("tm/line")
    with audit.gap(now), made.sample({_uri(made, "first"): FIRST}) as sampler:
        until(lambda: len(sampler.answers("line")), lambda count: count > 5, 10, "it is asked")
        made.terminal.run(f"kubectl delete namespace {made.namespace} --timeout=120s", seconds=125)
    assert sampler.record.readiness("line")[-1] == ""
