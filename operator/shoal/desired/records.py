"""What a pod template was made with, as its Deployment records it (docs/operations.md).

Some of what a template has must not restart pods by its change alone: the image of the operator
that made it, and the labels and annotations of the InferenceService. They stay as recorded until
the template is made anew for another reason. And the record tells whether the user changed what
pods are made of, or a runtime, the configuration or another release of the operator did: that is
an automatic update, which may have to wait. Called by `deployments`, `reconcile` and the store.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from shoal import names
from shoal.runtimes import pins

Body = Mapping[str, Any]
_DONE: Final = "NewReplicaSetAvailable"  # a Deployment's own word


@dataclass(frozen=True, slots=True)
class Record:
    """`template` is the digest of the template without the others of these in it.

    `predictor` is the digest of what pods are made of in the spec, `source` that of the runtime
    and the config, `host` whether there is an agent; `automatic` tells that the last change of
    the template was none of the user's. `image` is the operator's own, which its agents have
    where the config names none. `storage_container` is the ClusterStorageContainer that fetches
    the service's own models, "" where none does.
    """

    template: str = ""
    predictor: str = ""
    source: str = ""
    host: bool = False
    automatic: bool = False
    image: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    storage_container: str = ""

    def encode(self) -> dict[str, str]:
        """Write the annotation of the Deployment."""
        given = asdict(self)
        if not self.storage_container:
            del given["storage_container"]  # most have none, and nothing to write anew for it
        text = json.dumps(given, sort_keys=True, separators=(",", ":"))
        return {names.TEMPLATE_ANNOTATION: text}


NOTHING: Final = Record()
_FIELDS: Final = frozenset(one.name for one in fields(Record))  # those of a later release go


def decode(deployment: Body | None) -> Record | None:
    """Read what a Deployment records; None where there is nothing that can be read."""
    annotations = ((deployment or {}).get("metadata") or {}).get("annotations") or {}
    try:
        given = json.loads(annotations[names.TEMPLATE_ANNOTATION])
        return Record(**{key: given[key] for key in given.keys() & _FIELDS})
    except (AttributeError, KeyError, ValueError):
        return None


def keep(deployment: Body | None, fresh: Record) -> Record:
    """Choose what the template is made with: as it was, where nothing else of it changed."""
    held = decode(deployment)
    if held is None:
        return fresh
    if held.template == fresh.template:
        return replace(
            held,
            predictor=fresh.predictor,
            source=fresh.source,
            storage_container=fresh.storage_container,
        )
    is_under_way = held.automatic or is_whole(deployment)
    return replace(fresh, automatic=is_under_way and _is_automatic(held, fresh))


def _is_automatic(held: Record, fresh: Record) -> bool:
    """Tell whether the user has no part in a template that is another one."""
    same = held.predictor == fresh.predictor and held.host == fresh.host
    meta = (held.labels, held.annotations) == (fresh.labels, fresh.annotations)
    return same and (meta or held.source != fresh.source)


def is_whole(deployment: Body | None) -> bool:
    """Tell whether the last rollout that is known of came to its end; pods may have died since.

    A Deployment has a new generation by an annotation alone, so that is not looked at.
    """
    rows = {row["type"]: row for row in _status(deployment).get("conditions") or ()}
    return bool(rows.get("Progressing", {}).get("reason") == _DONE)


def is_rolling(deployment: Body | None) -> bool:
    """Tell whether an automatic update is under way, or stuck."""
    record = decode(deployment)
    if record is None or not record.automatic:
        return False
    generation = (deployment or {})["metadata"].get("generation", 0)
    is_seen = _status(deployment).get("observedGeneration", 0) >= generation
    return not (is_seen and is_whole(deployment))


def _status(deployment: Body | None) -> Body:
    status: Body = (deployment or {}).get("status") or {}
    return status


def digest(template: Body) -> str:
    """Identify a template."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return pins.identify(text)


def differing(held: Mapping[str, str], wanted: Mapping[str, str]) -> set[str]:
    """Name the labels or annotations of pods that are not as wanted."""
    keys = {key for key in held.keys() | wanted.keys() if held.get(key) != wanted.get(key)}
    return {key for key in keys if not _is_for_us(key)}


def _is_for_us(key: str) -> bool:
    """Tell the keys by which the operator is told something: they say nothing to pods."""
    return key.partition("/")[0].endswith(names.OWN_DOMAIN)
