"""The list of models as it is in the cluster: in how many ConfigMaps, and who is in it. Pure.

Called by `plans`. What somebody else wrote into a ConfigMap says nothing about either.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from shoal import modelconfig, names, reasons
from shoal.cluster import kinds
from shoal.modelconfig import Model, ModelConfigError, Shard
from shoal.reconcile.observations import Observed
from shoal.status import conditions


@dataclass(frozen=True, slots=True)
class LiveList:
    """`shards` is how many ConfigMaps there should be, `models` are those admitted before.

    `entries` are what the agents are told of these, as far as the ConfigMaps are there.
    """

    shards: int
    models: frozenset[str]
    entries: Mapping[str, Model]


def read(seen: Observed) -> LiveList:
    """Read the list; what a lost ConfigMap said of its models, their own statuses say too."""
    found = _found(seen)
    first = found.get(names.model_config(seen.key[1]))
    told = [first] if first else list(found.values())
    count = max((shard.count for shard in told), default=1)
    entries = {model.name: model for shard in found.values() for model in shard.models}
    listed = set(entries)
    if any(names.model_config(seen.key[1], shard) not in found for shard in range(count)):
        listed |= _admitted(seen)
    return LiveList(count, frozenset(listed), entries)


def _found(seen: Observed) -> dict[str, Shard]:
    found = {}
    for body in seen.children:
        if body["kind"] == kinds.CONFIG_MAP.kind:
            with suppress(ModelConfigError):
                found[body["metadata"]["name"]] = modelconfig.read(body)
    return found


def _admitted(seen: Observed) -> set[str]:
    kind = reasons.Condition.MEMORY_RESOURCE_AVAILABLE
    return {
        body["metadata"]["name"]
        for body in seen.models
        if conditions.find(body.get("status") or {}, kind)["status"] == conditions.TRUE
    }
