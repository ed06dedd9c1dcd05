"""Kubernetes' strategic merge of containers and pods (contract §3.5): the second one wins.

Lists of named things merge by their key, others are replaced. Of alternatives, such as the
handlers of a probe or the sources of a volume, the second one's is kept and the first one's
goes: both would be refused by the API server.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from shoal.api import quantities

Json = Any
Tree = Mapping[str, Json]

_CONTAINER_KEYS: Final = {
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
}
_POD_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "volumes": "name",
}
# An item of these has one value or source: the second one's replaces it whole.
_WHOLE: Final = frozenset({"env", "volumes"})
_HANDLERS: Final = frozenset({"exec", "httpGet", "tcpSocket", "grpc", "sleep"})
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
# The API server lets these alone have a request below the limit.
_OVERCOMMITTED: Final = frozenset({"cpu", "memory", "ephemeral-storage"})


def containers(base: Tree, over: Tree) -> dict[str, Json]:
    """Merge a container over another; `args` are the first one's followed by the second's."""
    merged = _fields(base, over, _CONTAINER_KEYS)
    if args := [*(base.get("args") or []), *(over.get("args") or [])]:
        merged["args"] = args
    for probe in _PROBES:
        if base.get(probe) and over.get(probe):
            merged[probe] = _exclusive(base[probe], over[probe])
    if base.get("lifecycle") and over.get("lifecycle"):
        hooks = base["lifecycle"]
        merged["lifecycle"] = hooks | {
            hook: _exclusive(hooks.get(hook) or {}, handler)
            for hook, handler in over["lifecycle"].items()
        }
    if base.get("resources") or over.get("resources"):
        merged["resources"] = resources(base.get("resources") or {}, over.get("resources") or {})
    return merged


def pods(base: Tree, over: Tree) -> dict[str, Json]:
    """Merge a pod's fields over another's; containers are merged on their own."""
    return _fields(base, over, _POD_KEYS)


def resources(base: Tree, over: Tree) -> dict[str, Json]:
    """Merge resources so that the API server accepts them: no request above its limit.

    Where the second one gives one end only, the first one's other end is bounded by it
    (contract A.1 shows what comes of it otherwise). The first one's limits bound its requests:
    it may be made of defaults of which one was changed.

    Raises:
        ValueError: an amount is no quantity.
    """
    base = _orderly(base)
    ends = {end: dict(over.get(end) or {}) for end in ("requests", "limits")}
    for end, other, choose in (("requests", "limits", min), ("limits", "requests", max)):
        bounds = over.get(other) or {}
        for name, amount in (base.get(end) or {}).items():
            if name not in ends[end] and not (name in bounds and name not in _OVERCOMMITTED):
                ends[end][name] = _bounded(amount, bounds.get(name), choose)
    merged = {**base, **over, **{end: amounts for end, amounts in ends.items() if amounts}}
    return {key: value for key, value in merged.items() if value}


def _orderly(given: Tree) -> Tree:
    requests, limits = given.get("requests") or {}, given.get("limits") or {}
    if not requests or not limits:
        return given
    lowered = {name: _bounded(amount, limits.get(name), min) for name, amount in requests.items()}
    return {**given, "requests": lowered}


def _bounded(amount: str | int, bound: str | int | None, choose: Callable[..., Json]) -> Json:
    return amount if bound is None else choose(amount, bound, key=quantities.parse)


def _fields(base: Tree, over: Tree, keys: Mapping[str, str]) -> dict[str, Json]:
    """Merge field by field; null and an empty text say nothing."""
    merged = dict(base)
    for field, value in over.items():
        before = base.get(field)
        if value is None or value == "":
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            merged[field] = _fields(before, value, {})
        elif field in keys and isinstance(before, list):
            merged[field] = _list(field, keys[field], before, value)
        else:
            merged[field] = value
    return merged


def _list(field: str, key: str, base: Sequence[Tree], over: Sequence[Tree]) -> list[Tree]:
    """Keep the first one's order; what is new comes after it."""
    rows = {row.get(key): row for row in base}
    for row in over:
        name = row.get(key)
        is_whole = field in _WHOLE or name not in rows
        rows[name] = row if is_whole else _fields(rows[name], row, {})
    return list(rows.values())


def _exclusive(before: Tree, over: Tree) -> dict[str, Json]:
    """Merge what may have one handler only."""
    if _HANDLERS & over.keys():
        dropped = _HANDLERS - over.keys()
        before = {key: value for key, value in before.items() if key not in dropped}
    return _fields(before, over, {})
