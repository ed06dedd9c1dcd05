"""Turns the API server's own OpenAPI (v2) document into schemas for kubeconform, strict ones."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
# kubeconform's template for the names of the files that `write` makes.
LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
_PREFIX = "#/definitions/"


def write(document: Schema, folder: Path) -> int:
    """Write a schema for every kind; return how many there are."""
    definitions = {name: _strict(schema) for name, schema in document["definitions"].items()}
    kinds = 0
    for name, schema in document["definitions"].items():
        for kind in schema.get("x-kubernetes-group-version-kind") or []:
            needed = {each: definitions[each] for each in _closure(name, definitions)}
            whole = {"$ref": _PREFIX + name, "definitions": needed}
            (folder / _file(kind)).write_text(json.dumps(whole))
            kinds += 1
    return kinds


def _file(kind: dict[str, str]) -> str:
    words = [kind["kind"], kind["group"].partition(".")[0], kind["version"]]
    return "-".join(filter(None, words)).lower() + ".json"


def _strict(schema: Schema) -> Schema:
    """Forbid what is not described; allow numbers where Kubernetes reads both."""
    made = {key: value for key, value in schema.items() if not key.startswith("x-")}
    if schema.get("format") == "int-or-string" or _is_quantity(schema):
        return {"type": ["string", "integer", "number"]}
    if "properties" in schema:
        properties = schema["properties"].items()
        made["properties"] = {name: _optional(_strict(each)) for name, each in properties}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = _strict(schema[key])
    return made


def _is_quantity(schema: Schema) -> bool:
    return str(schema.get("description", "")).startswith("Quantity is a fixed-point")


def _optional(schema: Schema) -> Schema:
    """Let a field be null, as the API server does."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return schema


def _closure(name: str, definitions: dict[str, Schema]) -> set[str]:
    found, waiting = set[str](), [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(_references(definitions[current]))
    return found


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_PREFIX)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
