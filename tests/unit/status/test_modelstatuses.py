from typing import Any

import pytest

from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.status import modelstatuses
from support import builders
from support.builders import Body, Json

CRASH = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
ENDED = {
    "terminated": {
        "reason": "Error",
        "exitCode": 3,
        "message": "boom\n",
        "finishedAt": builders.CREATED,
    }
}
OOM = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
RUNNING = {"running": {"startedAt": builders.CREATED}}
OVER = {"terminated": {"reason": "Completed", "exitCode": 0}}


def _box(
    name: str = "kserve-container",
    state: Body | None = None,
    last: Body | None = None,
    **more: Json,
) -> Body:
    return {"name": name, "state": state, "lastState": last or {}, "ready": False, **more}


def _compute(*pods: Body, is_ready: bool = False) -> dict[str, Any]:
    return modelstatuses.compute(pods, is_ready=is_ready)


def _summary(status: dict[str, Any]) -> tuple[str, str, str]:
    states = status["states"]
    return status["transitionStatus"], states["activeModelState"], states["targetModelState"]


UP = builders.pod("up", ready=True, containers=[_box(state=RUNNING, ready=True)])
STARTING = builders.pod("starting", containers=[_box(state=RUNNING)])
FETCHING = builders.pod("fetching", init_containers=[_box("storage-initializer", RUNNING)])
FETCHED = builders.pod("fetched", init_containers=[_box("storage-initializer", OVER, ready=True)])
LINKED = builders.pod("linked", init_containers=[_box("modelcar", RUNNING, ready=True)])
LINKING = builders.pod("linking", init_containers=[_box("modelcar", RUNNING)])
FAILED = builders.pod("failed", containers=[_box(state=ENDED)])


@pytest.mark.weakness("C7")
@pytest.mark.parametrize(
    ("pods", "is_ready", "summary", "copies"),
    [
        pytest.param([], False, ("InProgress", "Pending", "Pending"), (0, 0), id="no-pods"),
        pytest.param(
            [STARTING], False, ("InProgress", "Pending", "Pending"), (0, 0), id="starting"
        ),
        pytest.param(
            [FETCHED, FETCHING], False, ("InProgress", "Pending", "Loading"), (0, 0), id="fetching"
        ),
        pytest.param([FETCHED], False, ("InProgress", "Pending", "Pending"), (0, 0), id="fetched"),
        pytest.param([LINKING], False, ("InProgress", "Pending", "Loading"), (0, 0), id="linking"),
        pytest.param([LINKED], False, ("InProgress", "Pending", "Pending"), (0, 0), id="linked"),
        pytest.param([UP, UP], True, ("UpToDate", "Loaded", "Loaded"), (2, 0), id="ready"),
        pytest.param(
            [UP, STARTING], False, ("InProgress", "Loaded", "Pending"), (1, 0), id="one-is-ready"
        ),
        pytest.param(
            [UP, FAILED],
            True,
            ("BlockedByFailedLoad", "Loaded", "FailedToLoad"),
            (1, 1),
            id="a-rollout-that-fails-while-the-old-pod-serves",
        ),
        pytest.param(
            [FAILED, FAILED],
            False,
            ("BlockedByFailedLoad", "Pending", "FailedToLoad"),
            (0, 2),
            id="all-failed",
        ),
        pytest.param(
            [{**FAILED, "metadata": {"name": "x", "deletionTimestamp": "now"}}],
            False,
            ("InProgress", "Pending", "Pending"),
            (0, 0),
            id="a-pod-that-is-going-says-nothing",
        ),
        pytest.param(
            [{**FAILED, "status": {**FAILED["status"], "phase": "Failed"}}],
            False,
            ("InProgress", "Pending", "Pending"),
            (0, 0),
            id="an-evicted-pod-says-nothing",
        ),
        pytest.param(
            [{"metadata": {"name": "x"}}],
            False,
            ("InProgress", "Pending", "Pending"),
            (0, 0),
            id="a-pod-without-status",
        ),
    ],
)
def test_states(
    pods: list[Body], *, is_ready: bool, summary: tuple[str, str, str], copies: tuple[int, int]
) -> None:
    status = _compute(*pods, is_ready=is_ready)
    assert _summary(status) == summary
    assert status["copies"] == {"totalCopies": copies[0], "failedCopies": copies[1]}
    assert ("lastFailureInfo" in status) == (copies[1] > 0)


@pytest.mark.weakness("C7")
@pytest.mark.parametrize(
    ("box", "info"),
    [
        pytest.param(
            _box(state=ENDED),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "kserve-container" ended with exit code 3 (Error): boom',
                "exitCode": 3,
                "time": builders.CREATED,
            },
            id="ended",
        ),
        pytest.param(
            _box(state=OOM),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "kserve-container" ended with exit code 137 (OOMKilled);'
                " it needs a higher memory limit",
                "exitCode": 137,
            },
            id="out-of-memory",
        ),
        pytest.param(
            _box(state=CRASH, last={"terminated": {"exitCode": 1}}),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "kserve-container" ended with exit code 1 (Error)',
                "exitCode": 1,
            },
            id="waits-after-a-crash",
        ),
        pytest.param(
            _box(state=CRASH),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "kserve-container" stops again and again; see its log.',
            },
            id="crashes-and-nobody-knows-why",
        ),
        pytest.param(
            _box(state=RUNNING, last=OOM),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "kserve-container" ended with exit code 137 (OOMKilled);'
                " it needs a higher memory limit",
                "exitCode": 137,
            },
            id="runs-again-but-is-not-ready",
        ),
        pytest.param(
            _box("agent", {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}),
            {
                "reason": "RuntimeUnhealthy",
                "message": 'Container "agent" cannot start (ImagePullBackOff): no such',
            },
            id="image-of-the-agent",
        ),
        pytest.param(
            _box(state={"waiting": {"reason": "InvalidImageName"}}),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "kserve-container" cannot start (InvalidImageName):'
                " see the pod's events",
            },
            id="no-message",
        ),
        pytest.param(
            _box("modelcar", {"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "modelcar" cannot start (ErrImagePull): no such tag',
            },
            id="image-of-the-model",
        ),
        pytest.param(
            _box("modelcar-3", {"terminated": {"reason": "StartError", "exitCode": 128}}),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "modelcar-3" ended with exit code 128 (StartError);'
                " an image with a model needs sh, ln and sleep beside it",
                "exitCode": 128,
            },
            id="image-of-the-model-without-a-shell",
        ),
        pytest.param(
            _box(state={"terminated": {"reason": "StartError", "exitCode": 128}}),
            {
                "reason": "ModelLoadFailed",
                "message": 'Container "kserve-container" ended with exit code 128 (StartError)',
                "exitCode": 128,
            },
            id="image-of-the-server-without-its-program",
        ),
        pytest.param(_box(state={"waiting": {"reason": "PodInitializing"}}), None, id="waits"),
        pytest.param(_box(), None, id="no-state-yet"),
        pytest.param(_box(state=RUNNING, last=OOM, ready=True), None, id="recovered"),
    ],
)
def test_failure(box: Body, info: Body | None) -> None:
    status = _compute(builders.pod("pod-a", containers=[box]))
    expected = info and {"location": "pod-a", **info}
    assert status.get("lastFailureInfo") == expected


def test_an_init_containers_failure_is_told_first() -> None:
    pod = builders.pod(
        containers=[_box(state=ENDED)], init_containers=[_box("storage-initializer", OOM)]
    )
    assert "storage-initializer" in _compute(pod)["lastFailureInfo"]["message"]


def test_the_newest_pods_failure_is_told_and_of_equal_age_the_first_by_name() -> None:
    def failed(name: str, created: str) -> Body:
        return builders.pod(name, containers=[_box(state=ENDED)], creationTimestamp=created)

    old = failed("a", "2026-11-21T10:00:00Z")
    new, other = failed("b", "2026-11-21T11:00:00Z"), failed("c", "2026-11-21T11:00:00Z")
    for pods in ((old, new, other), (other, new, old)):
        assert _compute(*pods)["lastFailureInfo"]["location"] == "b"


HOMELESS = builders.pod("homeless")
HOMELESS["status"]["conditions"].append(
    builders.condition("PodScheduled", "False", "Unschedulable", "0/3 nodes are available")
)


@pytest.mark.weakness("C7")
@pytest.mark.parametrize(
    ("pods", "refusal", "info"),
    [
        pytest.param(
            [STARTING, HOMELESS],
            "",
            {"location": "homeless", "message": "The pod finds no node: 0/3 nodes are available"},
            id="no-node",
        ),
        pytest.param([], "exceeded quota", {"message": "exceeded quota"}, id="no-quota"),
        pytest.param([STARTING], "", None, id="on-its-way"),
    ],
)
def test_what_keeps_pods_from_starting_is_told(
    pods: list[Body], refusal: str, info: Body | None
) -> None:
    status = modelstatuses.compute(pods, is_ready=False, refusal=refusal)
    assert status["transitionStatus"] == "InProgress"
    assert status["copies"]["failedCopies"] == 0
    wanted = info and {**info, "reason": "RuntimeUnhealthy"}
    assert status.get("lastFailureInfo") == wanted


def test_a_failure_says_more_than_a_pod_without_a_node() -> None:
    status = _compute(HOMELESS, FAILED)
    assert status["lastFailureInfo"]["location"] == "failed"


def test_a_long_message_is_cut() -> None:
    long = {"terminated": {"exitCode": 1, "message": "x" * 4096}}
    status = _compute(builders.pod(containers=[_box(state=long)]))
    assert len(status["lastFailureInfo"]["message"]) == 1024


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        pytest.param(Reason.INVALID_SPEC, "InvalidSpec", id="invalid"),
        pytest.param(Reason.NOT_SUPPORTED, "InvalidSpec", id="not-supported"),
        pytest.param(Reason.RECONCILE_FAILED, "UpToDate", id="no-fault-of-the-spec"),
    ],
)
def test_a_refused_spec_is_invalid(reason: Reason, expected: str) -> None:
    error = StalledError(reason, "spec.a: b")
    status = modelstatuses.compute([UP], is_ready=True, error=error)
    info = {"reason": "InvalidPredictorSpec", "message": "spec.a: b"}
    assert status["transitionStatus"] == expected
    assert status.get("lastFailureInfo") == (info if expected == "InvalidSpec" else None)


SENTENCE = "s3://models/iris: no such object or folder at http://minio:9000"
MISSED = {"terminated": {"reason": "Error", "exitCode": 1, "message": f"has 0 B\n{SENTENCE}\n"}}


def _fetching(state: Body, last: Body | None = None, *, by: str = "storage-initializer") -> Body:
    box = _box(by, state, last)
    labels = {"pod-template-hash": "2"}
    return builders.pod("new", init_containers=[box], labels=labels)


def _of(make: str, pod: Body) -> Body:
    labels = {"labels": {"pod-template-hash": make}, "creationTimestamp": "2026-11-21T09:00:00Z"}
    return {**pod, "metadata": {**pod["metadata"], **labels}}


@pytest.mark.parametrize("by", ["storage-initializer", "modelcar", "modelcar-9"])
@pytest.mark.parametrize(
    ("state", "last"),
    [
        pytest.param(MISSED, None, id="ended"),
        pytest.param(CRASH, MISSED, id="waits-for-its-next-turn"),
        pytest.param(RUNNING, MISSED, id="tries-again"),
    ],
)
def test_a_model_that_cannot_be_fetched_is_told_in_its_own_words(
    state: Body, last: Body | None, by: str
) -> None:
    pod = _fetching(state, last, by=by)
    status = _compute(pod)
    assert _summary(status) == ("BlockedByFailedLoad", "Pending", "FailedToLoad")
    assert status["lastFailureInfo"] == {
        "location": "new",
        "reason": "ModelLoadFailed",
        "message": SENTENCE,
        "exitCode": 1,
    }
    assert (modelstatuses.missing([pod]) or {})["message"] == SENTENCE


@pytest.mark.parametrize(
    ("pods", "is_missing"),
    [
        pytest.param([], False, id="no-pods"),
        pytest.param([_fetching(RUNNING)], False, id="on-its-way"),
        pytest.param([_fetching(MISSED)], True, id="the-first-one"),
        pytest.param([_fetching(MISSED), _of("1", UP)], True, id="an-update-beside-the-old"),
        pytest.param([_fetching(MISSED), _of("2", UP)], False, id="a-replica-more-of-what-serves"),
        pytest.param([_of("1", _fetching(MISSED)), _fetching(RUNNING)], False, id="of-before"),
        pytest.param(
            [_fetching({"waiting": {"reason": "ErrImagePull"}})], True, id="its-image-is-missing"
        ),
        pytest.param([FAILED], False, id="the-server-failed-not-the-model"),
    ],
)
def test_pods_without_their_model(pods: list[Body], *, is_missing: bool) -> None:
    assert bool(modelstatuses.missing(pods)) is is_missing
