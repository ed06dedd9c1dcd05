"""What a soak does to the cluster, and what it reads of it."""

import contextlib
import json
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import containers, shell
from soak.plans import ARTIFACTS, BAD, SERVICES, Action, Deed, Wish
from support.agentrigs import artefact
from support.spaces import Space, service, trained_model
from support.terminals import condition, until
from support.watchers import Access

Body = dict[str, Any]
SYSTEM = "shoal-system"
_REFRESH = "serving.kserve.io/refresh"
_SERVICE = "serving.kserve.io/inferenceservice"
_MODELS = "/apis/serving.kserve.io/v1alpha1/namespaces/{}/trainedmodels"
_MERGE = "application/merge-patch+json"
_LOOK_SECONDS = 0.3


class RefusedError(Exception):
    """The API server said no."""


@dataclass(frozen=True)
class Cluster:
    """The cluster, and the namespace that the soak lives in."""

    space: Space
    access: Access

    @classmethod
    def of(cls, space: Space) -> "Cluster":
        """Reach the cluster of a space."""
        return cls(space, Access.read(Path(space.terminal.environ["KUBECONFIG"])))

    def request(
        self, method: str, path: str, body: Body | None = None, content: str = "application/json"
    ) -> Body:
        """Ask the API server."""
        connection = self.access.connect(30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": content})
            response = connection.getresponse()
            answer: Body = json.loads(response.read() or b"{}")
        finally:
            connection.close()
        if response.status >= 400:
            raise RefusedError(f"{method} {path}: {response.status} {answer.get('message')}")
        return answer

    # What is put into it.

    @property
    def values(self) -> dict[str, float]:
        """What the model behind each address answers; behind a bad one there is none."""
        return {self.address(at): float(at) for at in range(ARTIFACTS)} | {
            self.address(BAD): float("nan")
        }

    def address(self, artifact: int) -> str:
        """Where an artefact is."""
        return f"s3://{self.space.namespace}/{'nothing' if artifact == BAD else artifact}"

    def prepare(self, replicas: int) -> None:
        """Upload the artefacts and make the services; return when they are ready."""
        for at in range(ARTIFACTS):
            self.space.put(str(at), {"model.joblib": artefact(float(at))})
        counts = {"minReplicas": replicas, "maxReplicas": replicas}
        self.space.apply(*(service(name, **counts) for name in SERVICES))
        self.space.wait(" ".join(f"isvc/{name}" for name in SERVICES), 180)

    def create(self, name: str, wish: Wish) -> None:
        """Create a TrainedModel."""
        body = trained_model(name, self.address(wish.artifact), wish.service)
        body["spec"]["model"]["memory"] = "1Mi"
        body["metadata"]["annotations"] = self._annotations(wish)
        self.request("POST", self._models, body)

    def act(self, action: Action) -> None:
        """Do one action of a plan."""
        match action.deed, action.wish:
            case Deed.CREATE, Wish() as wish:
                self.create(action.model, wish)
            case Deed.DELETE, _:
                self.request("DELETE", f"{self._models}/{action.model}")
            case _, Wish() as wish:
                self._edit(action.model, wish)
            case Deed.KILL_OPERATOR | Deed.END_OPERATOR, _:
                self._strike_operator(action.deed)
            case _:
                self._strike_pod(action)

    def _edit(self, name: str, wish: Wish) -> None:
        spec = {
            "inferenceService": wish.service,
            "model": {"storageUri": self.address(wish.artifact)},
        }
        patch = {"metadata": {"annotations": self._annotations(wish)}, "spec": spec}
        self.request("PATCH", f"{self._models}/{name}", patch, _MERGE)

    def _annotations(self, wish: Wish) -> dict[str, str]:
        return {_REFRESH: str(wish.refresh)} if wish.refresh else {}

    @property
    def _models(self) -> str:
        return _MODELS.format(self.space.namespace)

    # What is done to pods.

    def _strike_pod(self, action: Action) -> None:
        pods = self.pods()
        if not pods:
            return
        pod = pods[action.pick % len(pods)]
        if action.deed is Deed.KILL_AGENT:
            _kill(pod, "agent")
        elif action.deed is Deed.KILL_SERVER:
            _kill(pod, "kserve-container")
        else:
            self._delete(pod, by_force=action.deed is Deed.LOSE_POD)

    def _strike_operator(self, deed: Deed) -> None:
        """Strike the pod that holds the Lease."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/shoal-operator"
        holder = self.request("GET", path)["spec"]["holderIdentity"]
        for pod in self.operators():
            if pod["metadata"]["name"] == holder:
                if deed is Deed.KILL_OPERATOR:
                    _kill(pod, "operator")
                else:
                    self._delete(pod, by_force=False)

    def _delete(self, pod: Body, *, by_force: bool) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self.request("DELETE", path, {"gracePeriodSeconds": 0} if by_force else None)

    # What is read of it.

    def pods(self, server: str = "") -> list[Body]:
        """List the pods of one server or of all, by name, but those that are going."""
        selector = f"{_SERVICE}={server}" if server else _SERVICE
        path = f"/api/v1/namespaces/{self.space.namespace}/pods?labelSelector={selector}"
        return _staying(self.request("GET", path)["items"])

    def operators(self) -> list[Body]:
        """List the operator's pods."""
        path = f"/api/v1/namespaces/{SYSTEM}/pods?labelSelector=app.kubernetes.io/name=shoal"
        return _staying(self.request("GET", path)["items"])

    def models(self) -> dict[str, Body]:
        """Read the TrainedModels."""
        items = self.request("GET", self._models)["items"]
        return {body["metadata"]["name"]: body for body in items}

    def lists(self, server: str) -> list[Body]:
        """Read the ConfigMaps with the lists of a server's models."""
        items = self.request("GET", f"/api/v1/namespaces/{self.space.namespace}/configmaps")
        prefix = f"modelconfig-{server}-"
        return [body for body in items["items"] if body["metadata"]["name"].startswith(prefix)]

    def scale_operator(self, replicas: int) -> int:
        """Let so many operators run, and wait for them; return how many ran before."""
        path = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/shoal"
        before: int = self.request("GET", path)["spec"]["replicas"]
        self.request("PATCH", path, {"spec": {"replicas": replicas}}, _MERGE)
        until(
            lambda: sum(map(is_ready, self.operators())), replicas.__eq__, 180, "operators are up"
        )
        return before


def is_ready(pod: Body) -> bool:
    """Tell whether a pod takes requests."""
    return bool(condition(pod, "Ready")["status"] == "True")


def _staying(pods: list[Body]) -> list[Body]:
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return sorted(staying, key=lambda pod: str(pod["metadata"]["name"]))


def _kill(pod: Body, container: str) -> None:
    """Kill a container's process on the node; one that does not run is left alone."""
    for row in pod["status"].get("containerStatuses") or []:
        if row["name"] == container and "running" in row["state"]:
            name = row["containerID"].partition("//")[2]
            with contextlib.suppress(shell.CommandError):  # it ended just now
                containers.ctr("tasks", "kill", "--signal", "SIGKILL", name)


class Leaders(threading.Thread):
    """Notes when nobody led: the times in which nothing that happens can be told."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.gaps: list[tuple[float, float]] = []
        self._cluster = cluster
        self._over = threading.Event()

    def run(self) -> None:
        """Look until told to end."""
        seen, is_lost = time.time(), False
        while not self._over.wait(_LOOK_SECONDS):
            if not self._leads():
                is_lost = True
                continue
            if is_lost:
                self.gaps.append((seen, time.time()))
            seen, is_lost = time.time(), False

    def end(self) -> None:
        """Stop."""
        self._over.set()
        self.join(10)

    def _leads(self) -> bool:
        try:
            pods = self._cluster.operators()
        except (OSError, RefusedError):
            return False
        return any(_leads(pod["status"].get("podIP", "")) for pod in pods)


def _leads(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:8080/readyz", timeout=1) as answer:
            return bool(json.loads(answer.read())["leading"])
    except (OSError, ValueError):
        return False
