"""`status.modelStatus` of an InferenceService, from all of its pods (contract §2.11, C7).

```
 a refused spec            InvalidSpec          target FailedToLoad
 a container failed        BlockedByFailedLoad  target FailedToLoad, lastFailureInfo
 the service is ready      UpToDate             target Loaded
 an init container runs    InProgress           target Loading
 else                      InProgress           target Pending
```

Unlike upstream it looks at every pod, knows OOMKilled, counts failed copies, and forgets a
failure once its container is ready again. Without one lastFailureInfo says what keeps pods from
being made, or from finding a node: no failure to load, but nothing that passes unseen either.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shoal import names
from shoal.errors import ReconcileError
from shoal.reasons import Reason

_LOADED: Final = "Loaded"
_LOADING: Final = "Loading"
_PENDING: Final = "Pending"
_FAILED: Final = "FailedToLoad"
_OOM: Final = "OOMKilled"
_MAX_MESSAGE: Final = 1024
_TOLD: Final = (1, 2)  # exit codes of those that bring models, whose last line says it all
_BRINGERS: Final = frozenset((names.STORAGE_INITIALIZER_CONTAINER, *names.MODELCAR_CONTAINERS))
_NO_PROGRAM: Final = "StartError"  # containerd's word
_MAKE_LABEL: Final = "pod-template-hash"
_OVER: Final = frozenset({"Succeeded", "Failed"})  # phases of a pod that nothing runs in again
# Refusals of a spec, and upstream's words for them in lastFailureInfo.
_REFUSALS: Final = {
    Reason.INVALID_SPEC: Reason.INVALID_PREDICTOR_SPEC,
    Reason.INVALID_PREDICTOR_SPEC: Reason.INVALID_PREDICTOR_SPEC,
    Reason.NOT_SUPPORTED: Reason.INVALID_PREDICTOR_SPEC,
    Reason.RUNTIME_NOT_RECOGNIZED: Reason.RUNTIME_NOT_RECOGNIZED,
    Reason.RUNTIME_DISABLED: Reason.RUNTIME_DISABLED,
    Reason.NO_SUPPORTING_RUNTIME: Reason.NO_SUPPORTING_RUNTIME,
    Reason.STORAGE_CONTAINER_NOT_FOUND: Reason.INVALID_PREDICTOR_SPEC,
    Reason.STORAGE_CONTAINER_DISABLED: Reason.INVALID_PREDICTOR_SPEC,
    Reason.STORAGE_CONTAINER_UNFIT: Reason.INVALID_PREDICTOR_SPEC,
}
_WAITS_IN_VAIN: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)

Json = Mapping[str, Any]


def compute(
    pods: Iterable[Json],
    *,
    is_ready: bool,
    error: ReconcileError | None = None,
    refusal: str = "",
) -> dict[str, Any]:
    """Compute it from the predictor's pods, as the API server has them.

    `refusal` is why the API server takes no more of them, such as a quota.
    """
    ordered = _newest_first(pods)
    failures = [failure for failure in map(_failure, ordered) if failure]
    ready = sum(_is_ready(pod) for pod in ordered)
    target, transition = _states(ordered, failures, is_ready=is_ready)
    info: Json | None = failures[0] if failures else _obstacle(ordered, refusal)
    if error is not None and error.reason in _REFUSALS:
        target, transition = _FAILED, "InvalidSpec"
        info = {"reason": str(_REFUSALS[error.reason]), "message": error.message}
    return {
        "transitionStatus": transition,
        "states": {
            "activeModelState": _LOADED if ready else _PENDING,
            "targetModelState": target,
        },
        "copies": {"totalCopies": ready, "failedCopies": len(failures)},
        **({"lastFailureInfo": info} if info else {}),
    }


def _obstacle(pods: Iterable[Json], refusal: str) -> dict[str, Any] | None:
    """Tell what keeps pods from starting: no node, or the API server."""
    for pod in pods:
        for row in _status(pod).get("conditions") or ():
            if row["type"] == "PodScheduled" and row.get("reason") == "Unschedulable":
                message = f"The pod finds no node: {row.get('message', '')}"
                return {"location": pod["metadata"]["name"], **_unhealthy(message)}
    return _unhealthy(refusal) if refusal else None


def _unhealthy(message: str) -> dict[str, Any]:
    return {"reason": str(Reason.RUNTIME_UNHEALTHY), "message": message[:_MAX_MESSAGE]}


def missing(pods: Iterable[Json]) -> dict[str, Any] | None:
    """Describe why pods of the newest make have no model; None where one of them is ready.

    A replica more that cannot have it leaves the others serving what is wanted.
    """
    ordered = _newest_first(pods)
    made = [pod for pod in ordered if _make(pod) == _make(ordered[0])]
    if any(map(_is_ready, made)):
        return None
    return next(filter(None, map(_unfetched, made)), None)


def _unfetched(pod: Json) -> dict[str, Any] | None:
    for row in _status(pod).get("initContainerStatuses") or ():
        if row["name"] in _BRINGERS and not row.get("ready"):
            return _ended(row) or _stuck(row)
    return None


def _make(pod: Json) -> str:
    """Name the version of the pod template that a pod is made of."""
    return str((pod["metadata"].get("labels") or {}).get(_MAKE_LABEL, ""))


def _newest_first(pods: Iterable[Json]) -> list[Json]:
    """Order the pods that stay: the newest one's failure is told, as in upstream."""
    staying = [pod for pod in pods if _is_staying(pod)]
    ordered = sorted(staying, key=lambda pod: str(pod["metadata"]["name"]))
    ordered.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    return ordered


def _states(pods: Sequence[Json], failures: Sequence[Json], *, is_ready: bool) -> tuple[str, str]:
    if failures:
        return _FAILED, "BlockedByFailedLoad"
    if is_ready:
        return _LOADED, "UpToDate"
    return _LOADING if any(map(_is_initialising, pods)) else _PENDING, "InProgress"


def _is_staying(pod: Json) -> bool:
    going = bool(pod["metadata"].get("deletionTimestamp"))
    return not going and _status(pod).get("phase") not in _OVER


def _is_ready(pod: Json) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in _status(pod).get("conditions") or ()
    )


def _is_initialising(pod: Json) -> bool:
    rows = _status(pod).get("initContainerStatuses") or ()
    return any("running" in (row.get("state") or {}) and not row.get("ready") for row in rows)


def _status(pod: Json) -> Json:
    status: Json = pod.get("status") or {}
    return status


def _failure(pod: Json) -> dict[str, Any] | None:
    """Describe the first container that failed and is not ready again."""
    status = _status(pod)
    for field in ("initContainerStatuses", "containerStatuses"):
        for row in status.get(field) or ():
            if row.get("ready"):
                continue
            found = _ended(row) or _stuck(row)
            if found:
                return {"location": pod["metadata"]["name"], **found}
    return None


def _ended(row: Json) -> dict[str, Any] | None:
    """Tell how the container ended: it is down, or it is up again but not ready yet."""
    state, last = row.get("state") or {}, row.get("lastState") or {}
    end = state.get("terminated") or last.get("terminated") or {}
    code = end.get("exitCode", 0)
    if code == 0:
        return None
    cause = end.get("reason") or "Error"
    said = (end.get("message") or "").strip()
    message = f'Container "{row["name"]}" ended with exit code {code} ({cause})'
    message += _advice(row["name"], cause)
    if row["name"] in _BRINGERS and code in _TOLD and said:
        message = said.splitlines()[-1]
    elif said:
        message = f"{message}: {said}"
    return {
        "reason": str(_reason(row)),
        "message": message[:_MAX_MESSAGE],
        "exitCode": code,
        **({"time": end["finishedAt"]} if end.get("finishedAt") else {}),
    }


def _advice(name: str, cause: str) -> str:
    if cause == _OOM:
        return "; it needs a higher memory limit"
    if cause == _NO_PROGRAM and name in names.MODELCAR_CONTAINERS:
        return "; an image with a model needs sh, ln and sleep beside it"
    return ""


def _stuck(row: Json) -> dict[str, Any] | None:
    """Tell why the container cannot start, or keeps stopping without having said why."""
    waiting = (row.get("state") or {}).get("waiting") or {}
    cause = waiting.get("reason", "")
    if cause == "CrashLoopBackOff":
        message = f'Container "{row["name"]}" stops again and again; see its log.'
    elif cause in _WAITS_IN_VAIN:
        said = waiting.get("message") or "see the pod's events"
        message = f'Container "{row["name"]}" cannot start ({cause}): {said}'
    else:
        return None
    return {"reason": str(_reason(row)), "message": message[:_MAX_MESSAGE]}


def _reason(row: Json) -> Reason:
    """An agent that fails loads nothing, but it is no model that failed."""
    if row["name"] == names.AGENT_CONTAINER:
        return Reason.RUNTIME_UNHEALTHY
    return Reason.MODEL_LOAD_FAILED
