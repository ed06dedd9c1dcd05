"""What one pass sees: everything about one InferenceService, at one moment, frozen.

Read from the store and from the agents' last reports; nothing here asks the API server.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shoal import names
from shoal.api import isvcrules
from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import Agents, Body
from shoal.cluster.store import Key, Store
from shoal.status.replicas import Replica


@dataclass(frozen=True, slots=True)
class Observed:
    """The objects as they are in the cluster; `service` is None where there is none.

    `ending` are models that are being deleted and still there, for a finalizer of somebody's.
    """

    key: Key
    service: Body | None
    models: tuple[Body, ...]
    children: tuple[Body, ...]
    pods: tuple[Body, ...]
    account: Body | None
    runtimes: tuple[Body, ...] = ()
    storage_containers: tuple[Body, ...] = ()
    has_keda: bool = False
    kubernetes: tuple[int, int] = names.OLDEST_KUBERNETES
    ending: tuple[Body, ...] = ()

    def child(self, kind: Kind, name: str) -> Body | None:
        """Return one child."""
        for body in self.children:
            if body["kind"] == kind.kind and body["metadata"]["name"] == name:
                return body
        return None


def observe(key: Key, store: Store) -> Observed:
    """Collect what the store has of a service; what is being deleted is none of it."""
    namespace, name = key
    service = store.get(kinds.INFERENCE_SERVICE, namespace, name)
    predictor = service["spec"]["predictor"] if service else {}
    account = predictor.get("serviceAccountName") or "default"
    models = store.of_service(kinds.TRAINED_MODEL, key)
    return Observed(
        key=key,
        service=None if service and _is_going(service) else service,
        models=_staying(models),
        ending=tuple(filter(_is_going, models)),
        children=_staying(
            body
            for kind in (*kinds.CHILDREN, *kinds.OPTIONAL)
            for body in store.of_service(kind, key)
        ),
        pods=tuple(
            pod
            for pod in store.of_service(kinds.POD, key)
            if not _is_going(pod) or _is_exposed(pod)
        ),
        account=store.get(kinds.SERVICE_ACCOUNT, namespace, account),
        runtimes=_staying(store.runtimes(namespace)) if _wants_runtime(predictor) else (),
        storage_containers=_staying(store.storage_containers()),
        has_keda=kinds.SCALED_OBJECT in store.watched,
        kubernetes=store.kubernetes,
    )


def _wants_runtime(predictor: Body) -> bool:
    return any(predictor.get(key) is not None for key in isvcrules.KEYS)


def agents_of(pods: Iterable[Body]) -> dict[str, str]:
    """Return the addresses, by pod uid, at which an agent should answer."""
    return {
        pod["metadata"]["uid"]: pod["status"]["podIP"]
        for pod in pods
        if _has_agent(pod)
        and pod.get("status", {}).get("phase") == "Running"
        and pod["status"].get("podIP")
    }


def unheard(pods: Iterable[Body], agents: Agents) -> bool:
    """Tell whether a ready replica's agent was asked and may answer any moment.

    To report now would call a model Unknown that is loaded: twice a model and restart.
    """
    asked = agents_of(pod for pod in pods if _is_ready(pod))
    return not all(agents.is_heard(uid) for uid in asked)


def replicas_of(pods: Iterable[Body], agents: Agents) -> tuple[Replica, ...]:
    """Return what is known of each pod of the predictor that still has a future."""
    return tuple(
        Replica(
            pod=pod["metadata"]["name"],
            ready=_is_ready(pod),
            report=agents.report(pod["metadata"]["uid"]),
            reachable=not _has_agent(pod) or agents.report(pod["metadata"]["uid"]) is not None,
        )
        for pod in pods
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    )


def needs_room(pods: Iterable[Body]) -> bool:
    """Tell whether a first pod with an agent finds no node while one without is still there."""
    kept = list(pods)
    waits = any(_has_agent(pod) and _is_unschedulable(pod) for pod in kept)
    return waits and not all(_has_agent(pod) for pod in kept)


def _has_agent(pod: Body) -> bool:
    return any(box["name"] == names.AGENT_CONTAINER for box in pod["spec"]["containers"])


def _is_ready(pod: Body) -> bool:
    return any(row["type"] == "Ready" and row["status"] == "True" for row in _conditions(pod))


def _is_unschedulable(pod: Body) -> bool:
    return any(
        row["type"] == "PodScheduled" and row.get("reason") == "Unschedulable"
        for row in _conditions(pod)
    )


def _conditions(pod: Body) -> Iterable[Body]:
    return pod.get("status", {}).get("conditions") or ()


def _is_going(body: Body) -> bool:
    return "deletionTimestamp" in body["metadata"]


def _is_exposed(pod: Body) -> bool:
    """Tell whether a pod that ends may still be asked for models that it never had.

    It leaves the Service's endpoints moments after its end has begun.
    """
    return _is_ready(pod) and not _has_agent(pod)


def _staying(bodies: Iterable[Body]) -> tuple[Body, ...]:
    return tuple(body for body in bodies if not _is_going(body))
