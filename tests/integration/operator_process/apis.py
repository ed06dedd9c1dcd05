"""A plain client of the real API server for the tests, and how to wait for what it shows.

It shares nothing with the operator's client: what a test asserts is read by other code than
wrote it.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp

Body = dict[str, Any]
T = TypeVar("T")

_PLACES = {
    "InferenceService": ("/apis/serving.kserve.io/v1beta1", "inferenceservices"),
    "TrainedModel": ("/apis/serving.kserve.io/v1alpha1", "trainedmodels"),
    "ServingRuntime": ("/apis/serving.kserve.io/v1alpha1", "servingruntimes"),
    "ClusterServingRuntime": ("/apis/serving.kserve.io/v1alpha1", "clusterservingruntimes"),
    "ClusterStorageContainer": (
        "/apis/serving.kserve.io/v1alpha1",
        "clusterstoragecontainers",
    ),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "ScaledObject": ("/apis/keda.sh/v1alpha1", "scaledobjects"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "Namespace": ("/api/v1", "namespaces"),
    "Service": ("/api/v1", "services"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Pod": ("/api/v1", "pods"),
    "Event": ("/api/v1", "events"),
}
_CLUSTERS = frozenset(
    {
        "Namespace",
        "ClusterServingRuntime",
        "ClusterStorageContainer",
        "CustomResourceDefinition",
    }
)
CHILDREN = (
    "Deployment",
    "Service",
    "ConfigMap",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Role",
    "RoleBinding",
)


class RefusedError(Exception):
    """The API server said no; the message is its own."""


async def until(
    check: Callable[[], Awaitable[T | None]], *, seconds: float = 20, every: float = 0.05
) -> T:
    """Ask again until the answer is true and asserts nothing wrong; then return it."""
    end = time.monotonic() + seconds
    while True:
        wrong: AssertionError | None = None
        answer: T | None = None
        try:
            answer = await check()
        except AssertionError as error:
            wrong = error
        if answer:
            return answer
        if time.monotonic() > end:
            message = f"not so within {seconds} s; the last answer was {answer!r}"
            raise AssertionError(message) from wrong
        await asyncio.sleep(every)


class Api:
    """Requests as the administrator, in one namespace."""

    def __init__(self, session: aiohttp.ClientSession, server: str, namespace: str) -> None:
        self._session = session
        self._server = server
        self.namespace = namespace

    @classmethod
    def connect(cls, server: str, namespace: str, ca: Path, client: tuple[Path, Path]) -> Self:
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(*client)
        connector = aiohttp.TCPConnector(ssl=context, limit=30)
        return cls(aiohttp.ClientSession(connector=connector), server, namespace)

    async def close(self) -> None:
        await self._session.close()

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        root, plural = _PLACES[kind]
        place = "" if kind in _CLUSTERS else f"/namespaces/{self.namespace}"
        return root + place + "".join(f"/{part}" for part in (plural, name, subresource) if part)

    async def request(
        self, method: str, path: str, body: Body | None = None, content: str = "application/json"
    ) -> tuple[int, Body]:
        data = None if body is None else json.dumps(body)
        async with self._session.request(
            method, self._server + path, data=data, headers={"Content-Type": content}
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def _must(self, method: str, path: str, *rest: Any) -> Body:
        status, answer = await self.request(method, path, *rest)
        if status >= 400:
            raise RefusedError(f"{method} {path}: {status} {answer.get('message')}")
        return answer

    async def find(self, kind: str, name: str) -> Body | None:
        status, answer = await self.request("GET", self.path(kind, name))
        assert status in (200, 404), answer
        return answer if status == 200 else None

    async def get(self, kind: str, name: str) -> Body:
        found = await self.find(kind, name)
        assert found is not None, f"{kind} {name} is not there"
        return found

    async def all(self, kind: str, selector: str = "") -> list[Body]:
        query = f"?labelSelector={selector}" if selector else ""
        items: list[Body] = (await self._must("GET", self.path(kind) + query))["items"]
        return items

    async def create(self, body: Body) -> Body:
        return await self._must("POST", self.path(body["kind"]), body)

    async def create_all(self, *bodies: Body) -> None:
        await asyncio.gather(*(self.create(body) for body in bodies))

    async def patch(self, kind: str, name: str, body: Body, subresource: str = "") -> Body:
        """Merge a patch, as another client than the operator."""
        path = self.path(kind, name, subresource) + "?fieldManager=somebody"
        return await self._must("PATCH", path, body, "application/merge-patch+json")

    async def delete(self, kind: str, name: str) -> None:
        options = {"propagationPolicy": "Background"}
        await self._must("DELETE", self.path(kind, name), options)

    async def events(self, reason: str) -> list[Body]:
        return [body for body in await self.all("Event") if body["reason"] == reason]

    async def told(self, reason: str) -> list[Body]:
        """Wait for an event, which is written after the status that it tells of."""
        await until(lambda: self.events(reason))
        return await self.events(reason)


def condition(body: Body, kind: str) -> Body:
    """Return a condition of an object's status; an absent one is Unknown."""
    rows: list[Body] = body.get("status", {}).get("conditions", [])
    for row in rows:
        if row["type"] == kind:
            return row
    return {"type": kind, "status": "Unknown"}
