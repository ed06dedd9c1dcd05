"""From a pydantic model to a structural schema, as a CustomResourceDefinition demands it.

Inlines every reference, makes `X | None` an optional X, and keeps what Kubernetes knows. What
has no structural form (recursion, tuples, unions) raises. Called by `crds` and `podspecs`.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_DROPPED: Final = frozenset({"title", "$defs", "discriminator", "examples", "deprecated"})
_FORMATS: Final = frozenset({"int32", "int64", "float", "double", "byte", "date", "date-time"})
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"


class NotStructuralError(TypeError):
    """A type has no structural schema; the message names its path."""


def make(model: type[BaseModel], *, patches: Mapping[str, Schema] | None = None) -> Schema:
    """Make the structural schema of a model, field by its alias.

    `patches` overrides fields: from "Model.field" to the keywords that are laid over it; None
    takes a keyword away.
    """
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    for place, patch in (patches or {}).items():
        owner, _, field = place.partition(".")
        target = schema if owner == schema.get("title") else definitions[owner]
        properties = target["properties"]
        merged = {**_unwrap(properties[field]), **patch}
        properties[field] = {key: value for key, value in merged.items() if value is not None}
    return _Conversion(definitions).node(schema, model.__name__, ())


def _unwrap(node: Schema) -> Schema:
    """Give the X of `X | None`, under the keywords that stood beside it."""
    options = node.get("anyOf")
    if not options:
        return node
    kept = [option for option in options if option.get("type") != "null"]
    beside = {key: value for key, value in node.items() if key != "anyOf"}
    if len(kept) == 1:
        return {**kept[0], **beside}
    return {**beside, "anyOf": kept}


class _Conversion:
    """One walk through one model's schema."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self.definitions = definitions

    def node(self, node: Schema, path: str, stack: tuple[str, ...]) -> Schema:
        """Convert one schema; `stack` names the models that it stands in."""
        node = _unwrap(node)
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[1]
            if name in stack:
                raise NotStructuralError(f"{path}: {name} contains itself")
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return self.node({**self.definitions[name], **beside}, path, (*stack, name))
        if "anyOf" in node or _INT_OR_STRING in node:
            return _int_or_string(node, path)
        if "prefixItems" in node or "oneOf" in node:
            raise NotStructuralError(f"{path}: tuples and unions are not structural")
        out = {key: _folded(key, value) for key, value in node.items() if _is_kept(key, value)}
        self._children(node, out, path, stack)
        return out

    def _children(self, node: Schema, out: Schema, path: str, stack: tuple[str, ...]) -> None:
        if properties := node.get("properties"):
            out["properties"] = {
                name: self.node(schema, f"{path}.{name}", stack)
                for name, schema in properties.items()
            }
        if "items" in node:
            out["items"] = self.node(node["items"], f"{path}[]", stack)
        additional = node.get("additionalProperties")
        if additional is True:
            out["x-kubernetes-preserve-unknown-fields"] = True
        elif isinstance(additional, dict):
            out["additionalProperties"] = self.node(additional, f"{path}{{}}", stack)


def _is_kept(key: str, value: object) -> bool:
    if key in ("properties", "items", "additionalProperties") or key in _DROPPED:
        return False
    if key == "default":
        return value is not None
    return key != "format" or value in _FORMATS


def _folded(key: str, value: Any) -> Any:  # noqa: ANN401 - a keyword's value is any JSON
    """Make one paragraph of a docstring's lines; a blank line parts paragraphs."""
    if key != "description":
        return value
    return "\n\n".join(" ".join(part.split()) for part in value.split("\n\n"))


def _int_or_string(node: Schema, path: str) -> Schema:
    kinds = sorted(option.get("type", "") for option in node.get("anyOf", []))
    if kinds != ["integer", "string"]:
        raise NotStructuralError(f"{path}: a union of {kinds} is not structural")
    out = {key: _folded(key, value) for key, value in node.items() if _is_kept(key, value)}
    out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    out[_INT_OR_STRING] = True
    return out
