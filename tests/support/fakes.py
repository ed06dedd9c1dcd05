"""Fakes of our own ports: a cluster in a dict, and agents that say what a test tells them."""

import copy
import itertools
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from shoal import names
from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body
from shoal.modelstates import Report

Place = tuple[str, str, str]


class FakeCluster:
    """Keeps what was applied, as the API server would, and remembers every write.

    `refuse` maps (verb, kind) to the error that the next such request gets, for ever;
    `on_apply` happens while an apply is on its way.
    """

    def __init__(self) -> None:
        self.objects: dict[Place, Body] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.refuse: dict[tuple[str, str], ApiError] = {}
        self.on_apply: Callable[[], object] = lambda: None
        self.kubernetes = names.OLDEST_KUBERNETES
        self.knows_images = True  # that are volumes; else it leaves them out
        self._versions = itertools.count(1)

    def put(self, body: Body) -> Body:
        """Let an object be there, whoever made it."""
        stored = copy.deepcopy(body)
        meta = stored["metadata"]
        meta.setdefault("uid", f"uid-of-{meta['name']}")
        meta["resourceVersion"] = str(next(self._versions))
        self.objects[self._place(stored)] = stored
        return copy.deepcopy(stored)

    def events(self) -> list[str]:
        """Return the reasons of the events, in order."""
        return [body["reason"] for place, body in self.objects.items() if place[0] == "events"]

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        self._maybe_refuse("get", kind)
        return copy.deepcopy(self.objects.get((kind.plural, namespace, name)))

    async def list(self, kind: Kind, namespace: str = "") -> list[Body]:
        self._maybe_refuse("list", kind)
        return [
            copy.deepcopy(body)
            for (plural, place, _), body in self.objects.items()
            if plural == kind.plural and namespace in ("", place)
        ]

    async def version(self) -> tuple[int, int]:
        return self.kubernetes

    async def apply(self, body: Body, *, subresource: str = "") -> Body:
        kind = kinds.of(body)
        self._maybe_refuse("apply", kind)
        self.on_apply()
        self._write(f"apply {subresource}".strip(), body)
        live = self.objects.get(self._place(body), {"metadata": {}})
        merged = {**copy.deepcopy(live), **copy.deepcopy(body)}
        merged["metadata"] = {**live["metadata"], **copy.deepcopy(body["metadata"])}
        if subresource:
            merged = {**copy.deepcopy(live), "status": copy.deepcopy(body["status"])}
        else:
            merged["metadata"]["managedFields"] = [_owned(body)]
        merged["metadata"].setdefault("generation", 1)
        return self.put(merged)

    async def rehearse(self, body: Body) -> Body:
        rehearsed = copy.deepcopy(body)
        pod = rehearsed["spec"]["template"]["spec"]
        rows = pod.get("volumes") or []
        pod["volumes"] = [row for row in rows if self.knows_images or "image" not in row]
        return rehearsed

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        self._maybe_refuse("delete", kind)
        held = self.objects.get((kind.plural, namespace, name))
        meta = held["metadata"] if held else {}
        if held and meta["uid"] == uid and version in ("", meta["resourceVersion"]):
            self._write("delete", held)
            del self.objects[kind.plural, namespace, name]

    async def create(self, body: Body) -> Body:
        self._maybe_refuse("create", kinds.of(body))
        if body["kind"] != "Event":
            self._write("create", body)
        return self.put(body)

    def _write(self, verb: str, body: Body) -> None:
        self.writes.append((verb, body["kind"], body["metadata"]["name"]))

    def _maybe_refuse(self, verb: str, kind: Kind) -> None:
        if error := self.refuse.get((verb, kind.kind)):
            raise error

    def _place(self, body: Body) -> Place:
        meta = body["metadata"]
        return kinds.of(body).plural, meta.get("namespace", ""), meta["name"]


class FakeAgents:
    """Says what a test puts into `reports`, by pod uid."""

    def __init__(self, reports: Mapping[str, Report] | None = None) -> None:
        self.reports = dict(reports or {})
        self.unheard: set[str] = set()
        self.followed: dict[tuple[str, str], dict[str, str]] = {}

    def report(self, pod_uid: str) -> Report | None:
        return self.reports.get(pod_uid)

    def is_heard(self, pod_uid: str) -> bool:
        return pod_uid not in self.unheard

    def follow(self, service: tuple[str, str], pods: Mapping[str, str]) -> None:
        self.followed.setdefault(service, {}).update(pods)

    def leave(self, service: tuple[str, str], but: Collection[str]) -> None:
        kept = self.followed.get(service, {})
        self.followed[service] = {uid: kept[uid] for uid in kept.keys() & but}


def _owned(body: Body) -> Body:
    """Make the managedFields entry of an apply: everything in it is the manager's."""
    fields = {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}
    meta = fields["metadata"]
    fields["metadata"] = {
        key: meta[key] for key in ("labels", "annotations", "ownerReferences") if key in meta
    }
    return {
        "manager": names.FIELD_MANAGER,
        "operation": "Apply",
        "fieldsV1": fields_v1(fields),
    }


def fields_v1(value: Any) -> Body:
    """Write a value as FieldsV1, with lists of objects keyed by name, uid or port."""
    if isinstance(value, dict):
        return {f"f:{name}": fields_v1(item) for name, item in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        known = next((k for k in ("name", "uid") if all(k in item for item in value)), None)
        if known is None:
            return {}
        return {
            "k:" + json.dumps({known: item[known]}): {".": {}, **fields_v1(item)} for item in value
        }
    return {}
