"""What the watches brought, kept by kind, and swept by a periodic relist.

Written by the handlers and the relist, read by `reconcile.observing`. Kopf repeats what
exists after a gap in a watch but not what vanished in it, so only a sweep makes deletions
certain (docs/adr/0001). Answers to writes and events come on different connections: what is
older than what is kept, or of an object that was removed, is let pass.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from shoal import names, reasons
from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import Body
from shoal.desired import records, storagecontainers
from shoal.runtimes import pins

Key = tuple[str, str]
"""Namespace and name of an InferenceService: what is reconciled."""

_NEXT: Final = 10  # some of the first may have begun, and their statuses not said so yet
_GRAVES: Final = 20_000
_STORAGE: Final = kinds.CLUSTER_STORAGE_CONTAINER
# Kinds that no label ties to services: each of theirs tells by itself whom it concerns.
_CONCERNS: Final[Mapping[Kind, Callable[[Body], Callable[[Body, Body | None], bool]]]] = {
    **{kind: lambda body: partial(pins.concerns, body) for kind in kinds.RUNTIMES},
    _STORAGE: storagecontainers.Concerned,
}
_WITHOUT_OWNERSHIP: Final = (kinds.TRAINED_MODEL, kinds.POD, kinds.SERVICE_ACCOUNT)


class Store:
    """Objects by kind, namespace and name, with an index by InferenceService."""

    def __init__(self) -> None:
        self._shelves: dict[str, dict[Key, Body]] = defaultdict(dict)
        self._by_service: dict[tuple[str, Key], set[str]] = defaultdict(set)
        self._removals: dict[str, set[Key]] = defaultdict(set)
        self.watched: tuple[Kind, ...] = kinds.WATCHED
        """The kinds that are kept up to date here."""
        self.kubernetes = names.OLDEST_KUBERNETES
        """The API server's version, as `Inbox.relist` learns it."""
        # By uid, in the order of removal: the last version, "" where it is not known.
        self._gone: dict[str, str] = {}

    def watch_too(self, kind: Kind) -> None:
        """Keep one of the kinds that not every cluster knows."""
        self.watched = (*self.watched, kind)

    def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """Return one object, if there is one."""
        return self._shelves[kind.plural].get((namespace, name))

    def of_service(self, kind: Kind, key: Key) -> list[Body]:
        """Return the objects of a kind that belong to an InferenceService, by name."""
        shelf = self._shelves[kind.plural]
        index = sorted(self._by_service.get((kind.plural, key), ()))
        return [shelf[key[0], name] for name in index]

    def runtimes(self, namespace: str) -> list[Body]:
        """Return the runtimes that the services of a namespace may use, by kind and name."""
        return [
            body
            for kind in kinds.RUNTIMES
            for place, body in sorted(self._shelves[kind.plural].items())
            if place[0] in ("", namespace)
        ]

    def storage_containers(self) -> list[Body]:
        """Return the ClusterStorageContainers, by name."""
        return [body for _, body in sorted(self._shelves[_STORAGE.plural].items())]

    def services(self) -> set[Key]:
        """Return every key that something refers to."""
        named = {key for _, key in self._by_service}
        return named | set(self._shelves[kinds.INFERENCE_SERVICE.plural])

    def count(self, kind: Kind) -> int:
        """Return how many objects of a kind are kept."""
        return len(self._shelves[kind.plural])

    def put(self, kind: Kind, body: Body) -> set[Key]:
        """Keep an object; return the keys that it concerns, before and now."""
        meta = body["metadata"]
        place = (meta.get("namespace", ""), meta["name"])
        if self._is_gone(meta) or _is_older(body, self._shelves[kind.plural].get(place)):
            return set()
        self._gone.pop(meta.get("uid", ""), None)
        if kind in _WITHOUT_OWNERSHIP:
            meta.pop("managedFields", None)
        concerned = self._forget(kind, place) | set(self._keys(kind, body))
        if kind in _CONCERNS:
            concerned |= self._users(kind, place, body)
        if kind is kinds.DEPLOYMENT and not records.is_rolling(body):
            concerned |= self._next_in_line(place)
        self._shelves[kind.plural][place] = body
        self._removals[kind.plural].discard(place)
        for key in self._keys(kind, body):
            self._by_service[kind.plural, key].add(place[1])
        return concerned

    def remove(
        self, kind: Kind, namespace: str, name: str, uid: str = "", version: str = ""
    ) -> set[Key]:
        """Drop an object; return the keys that it concerned.

        With a uid it is that one alone: a watch's events come in order for each uid, so the end
        of one object may be told after its successor's beginning. `version` is that of its end,
        which need not be the object's: one whose label was taken off may come back with a newer.
        """
        held = self.get(kind, namespace, name)
        self._bury(uid or ((held or {}).get("metadata") or {}).get("uid", ""), version)
        if held is not None and uid and held["metadata"].get("uid") != uid:
            return set()
        concerned = self._forget(kind, (namespace, name))
        if kind in _CONCERNS:
            concerned |= self._users(kind, (namespace, name), None)
        if kind is kinds.DEPLOYMENT:
            concerned |= self._next_in_line((namespace, name))
        self._shelves[kind.plural].pop((namespace, name), None)
        self._removals[kind.plural].add((namespace, name))
        return concerned

    def _is_gone(self, meta: Body) -> bool:
        """Tell whether this was told of an object before its end."""
        end = self._gone.get(meta.get("uid", ""))
        return end is not None and not _is_newer(meta.get("resourceVersion", ""), end)

    def _bury(self, uid: str, version: str) -> None:
        """Take note of an object that is gone."""
        if uid:
            self._gone[uid] = version
        if len(self._gone) > _GRAVES:
            del self._gone[next(iter(self._gone))]

    def versions(self, kind: Kind) -> dict[Key, str]:
        """Begin a sweep: return the version of every object of a kind, for `sweep`."""
        self._removals[kind.plural].clear()
        return {
            place: body["metadata"]["resourceVersion"]
            for place, body in self._shelves[kind.plural].items()
        }

    def sweep(self, kind: Kind, listed: Iterable[Body], before: dict[Key, str]) -> set[Key]:
        """Repair the shelf from a list that was asked for after `before` was taken.

        What a watch brought or removed in the meantime is newer than the list and stays.

        Returns:
            The keys of everything that was wrong.
        """
        concerned: set[Key] = set()
        seen: set[Key] = set()
        for body in listed:
            meta = body["metadata"]
            place = (meta.get("namespace", ""), meta["name"])
            seen.add(place)
            held = self._version(kind, place)
            is_stale = held == before.get(place) and held != meta["resourceVersion"]
            if is_stale and place not in self._removals[kind.plural]:
                self._gone.pop(meta.get("uid", ""), None)  # it is there
                body.update(apiVersion=kind.api_version, kind=kind.kind)
                concerned |= self.put(kind, body)
        for place, version in before.items():
            if place not in seen and self._version(kind, place) == version:
                concerned |= self.remove(kind, *place)
        return concerned

    def _version(self, kind: Kind, place: Key) -> str | None:
        body = self._shelves[kind.plural].get(place)
        return None if body is None else str(body["metadata"]["resourceVersion"])

    def _forget(self, kind: Kind, place: Key) -> set[Key]:
        """Take an object out of the index; return the keys it was under."""
        held = self._shelves[kind.plural].get(place)
        keys = set() if held is None else set(self._keys(kind, held))
        for key in keys:
            names_of = self._by_service[kind.plural, key]
            names_of.discard(place[1])
            if not names_of:
                del self._by_service[kind.plural, key]
        return keys

    def _keys(self, kind: Kind, body: Body) -> Iterator[Key]:
        """Yield the InferenceServices that an object concerns."""
        meta = body["metadata"]
        namespace = meta.get("namespace", "")
        if kind is kinds.INFERENCE_SERVICE:
            yield namespace, meta["name"]
        elif kind is kinds.TRAINED_MODEL:
            yield namespace, body["spec"]["inferenceService"]
        elif name := (meta.get("labels") or {}).get(names.INFERENCE_SERVICE_LABEL):
            yield namespace, name

    def _users(self, kind: Kind, place: Key, now: Body | None) -> set[Key]:
        """Return the InferenceServices that one of several concerns, as it was or as it is."""
        before = self._shelves[kind.plural].get(place)
        if before and now and before["metadata"] == now["metadata"]:
            return set()
        concerns = [_CONCERNS[kind](body) for body in (before, now) if body]
        return {
            key
            for key, service in self._shelves[kinds.INFERENCE_SERVICE.plural].items()
            if place[0] in ("", key[0])
            and any(concern(service, self._deployment(key)) for concern in concerns)
        }

    def _deployment(self, key: Key) -> Body | None:
        return next(iter(self.of_service(kinds.DEPLOYMENT, key)), None)

    def rolling(self) -> set[Key]:
        """Return the services in whose Deployments an automatic update is under way."""
        return {
            key
            for body in self._shelves[kinds.DEPLOYMENT.plural].values()
            if records.is_rolling(body)
            for key in self._keys(kinds.DEPLOYMENT, body)
        }

    def _next_in_line(self, place: Key) -> set[Key]:
        """Return the first of those that wait, where a Deployment is rolling no more."""
        if not records.is_rolling(self._shelves[kinds.DEPLOYMENT.plural].get(place)):
            return set()
        services = self._shelves[kinds.INFERENCE_SERVICE.plural].items()
        return set(sorted(key for key, body in services if _is_waiting(body))[:_NEXT])

    def users_of_account(self, namespace: str, account: str) -> set[Key]:
        """Return the InferenceServices whose predictor runs as a ServiceAccount."""
        return {
            place
            for place, body in self._shelves[kinds.INFERENCE_SERVICE.plural].items()
            if place[0] == namespace
            and (body["spec"]["predictor"].get("serviceAccountName") or "default") == account
        }


def _is_waiting(service: Body) -> bool:
    rows = (service.get("status") or {}).get("conditions") or ()
    return any(row.get("reason") == reasons.Reason.ROLLOUT_PENDING for row in rows)


def _is_older(body: Body, held: Body | None) -> bool:
    """Tell whether a body is an earlier state than the one that is held, or of its predecessor."""
    if held is None:
        return False
    versions = [each["metadata"].get("resourceVersion", "") for each in (held, body)]
    return _is_newer(*versions)


def _is_newer(version: str, than: str) -> bool:
    """Compare two resourceVersions; False where one of them is no number."""
    return version.isdecimal() and than.isdecimal() and int(version) > int(than)
