"""Whether an object in the cluster is already as we want it: no write without a difference.

Pure; called before every server-side apply. Two questions are asked. Does every field that
we want have the wanted value (what the API server or others added beside it is theirs)?
And do we still own a field that we no longer want (by `managedFields`, the server's own
record of who set what)? Only a yes and a no make a write needless.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shoal.api import quantities

Json = Any  # a JSON value; recursive types of JSON gain nothing here

_QUANTITIES: Final = frozenset({"limits", "requests", "capacity", "hard"})
_QUANTITY: Final = frozenset({"sizeLimit", "divisor", "averageValue", "memory"})
_IDENTITY: Final = ("name", "mountPath", "containerPort", "port", "uid", "type", "key", "ip")
_WHOLE: Final = frozenset({"subjects"})  # whoever is added to them may do what ours may


def differs(wanted: Mapping[str, Json], live: Mapping[str, Json], manager: str) -> bool:
    """Tell whether applying `wanted` as `manager` would change `live`."""
    if not _covers(wanted, live, quantity=False):
        return True
    owned = _owned(live, manager)
    return owned is None or _abandons(owned, wanted, live)


def _covers(wanted: Json, live: Json, *, quantity: bool, whole: bool = False) -> bool:
    """Tell whether `live` has everything of `wanted`; empty and absent are the same.

    Nothing may be added to a list that is `whole`.
    """
    if _is_empty(wanted):
        return _is_empty(live)
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            _covers(
                value,
                live.get(key),
                quantity=_is_quantity(key, within=quantity),
                whole=key in _WHOLE,
            )
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and _covers_list(wanted, live, whole=whole)
    return bool(wanted == live) or (quantity and _same_quantity(wanted, live))


def _is_quantity(key: str, *, within: bool) -> bool:
    return within or key in _QUANTITIES or key in _QUANTITY


def _is_empty(value: Json) -> bool:
    """Go leaves out what is empty, so the server's copy has no trace of it."""
    return value is None or value is False or value in ("", 0) or value in ({}, [])


def _covers_list(wanted: list[Json], live: list[Json], *, whole: bool) -> bool:
    """Compare item by item; others may append to a keyed list, so pair its items by key."""
    key = None if whole else _key(wanted)
    if key is None:
        return len(wanted) == len(live) and all(
            _covers(one, other, quantity=False) for one, other in zip(wanted, live, strict=True)
        )
    return all(
        any(
            isinstance(other, Mapping)
            and other.get(key) == one[key]
            and _covers(one, other, quantity=False)
            for other in live
        )
        for one in wanted
    )


def _key(items: list[Json]) -> str | None:
    """Find the member that tells the items of a list of objects apart, if one does."""
    if not all(isinstance(item, Mapping) for item in items):
        return None
    for key in _IDENTITY:
        values = [item.get(key) for item in items]
        if None not in values and len(set(values)) == len(values):
            return key
    return None


def _same_quantity(wanted: Json, live: Json) -> bool:
    with contextlib.suppress(ValueError):
        return quantities.same(wanted, live)
    return False


def _owned(live: Mapping[str, Json], manager: str) -> Mapping[str, Json] | None:
    """Return the fields that `manager` applied, in FieldsV1; None if it never applied."""
    entries: Iterable[Mapping[str, Json]] = live.get("metadata", {}).get("managedFields") or ()
    for entry in entries:
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            fields: Mapping[str, Json] = entry.get("fieldsV1", {})
            return fields
    return None


def _abandons(owned: Mapping[str, Json], wanted: Json, live: Json) -> bool:
    """Tell whether a field is owned that `wanted` does not have (FieldsV1: f: k: v:)."""
    return any(
        _abandons_one(path, below, wanted, live) for path, below in owned.items() if path != "."
    )


def _abandons_one(path: str, below: Mapping[str, Json], wanted: Json, live: Json) -> bool:
    sort, rest = path[:2], path[2:]
    if sort == "f:":
        if not isinstance(wanted, Mapping) or rest not in wanted:
            return True
        there = live.get(rest) if isinstance(live, Mapping) else None
        if below:
            return _abandons(below, wanted[rest], there)
        return _is_shorter(wanted[rest], there)
    if sort == "k:":
        key = json.loads(rest)
        item = _item(key, wanted)
        return item is None or _abandons(below, item, _item(key, live))
    return not isinstance(wanted, list) or json.loads(rest) not in wanted


def _is_shorter(wanted: Json, live: Json) -> bool:
    """Tell whether a list that is owned as one has items that are not wanted."""
    is_list = isinstance(wanted, list) and isinstance(live, list)
    return is_list and len(wanted) < len(live)


def _item(key: Mapping[str, Json], wanted: Json) -> Mapping[str, Json] | None:
    """Find the list item with these key members; the server fills `protocol: TCP` in."""
    items: list[Json] = wanted if isinstance(wanted, list) else []
    for item in items:
        if all(
            item.get(name, "TCP" if name == "protocol" else None) == value
            for name, value in key.items()
        ):
            found: Mapping[str, Json] = item
            return found
    return None
