"""models.json: the wanted models of one server, from the operator to its agents.

The operator writes it into a ConfigMap with `encode`; each agent reads it with `decode`. The
format is upstream's (contract §5.2), except that its order is fixed, so that the same models
are always the same bytes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shoal import names

_DIGEST_LENGTH = 16


class ModelConfigError(ValueError):
    """What is wrong in models.json, and where."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model that a server should hold."""

    name: str
    storage_uri: str
    framework: str
    memory: str

    @property
    def digest(self) -> str:
        """Identify what is to be served: a change of `memory` alone loads nothing."""
        text = _compact({"storageUri": self.storage_uri, "framework": self.framework})
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def encode(models: Iterable[Model]) -> dict[str, str]:
    """Make a ConfigMap's data: sorted by name, compact, upstream's order of keys."""
    rows = [
        {
            "modelName": model.name,
            "modelSpec": {
                "storageUri": model.storage_uri,
                "framework": model.framework,
                "memory": model.memory,
            },
        }
        for model in sorted(models, key=lambda model: model.name)
    ]
    return {names.MODELS_KEY: _compact(rows)}


def decode(data: Mapping[str, str]) -> tuple[Model, ...]:
    """Read a ConfigMap's data, sorted by name.

    Raises:
        ModelConfigError: it says what is wrong where. An absent key is an error, not an empty
            list: an agent must not unload everything because somebody emptied the ConfigMap.
    """
    text = data.get(names.MODELS_KEY)
    if text is None:
        raise ModelConfigError(f"{names.MODELS_KEY}: missing")
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise ModelConfigError(f"{names.MODELS_KEY}: {error}") from error
    if not isinstance(rows, list):
        raise ModelConfigError(f"{names.MODELS_KEY}: must be a list")
    models = [_model(index, row) for index, row in enumerate(rows)]
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise ModelConfigError(f"{names.MODELS_KEY}: {model.name!r} is listed twice")
        seen.add(model.name)
    return tuple(sorted(models, key=lambda model: model.name))


def _model(index: int, row: object) -> Model:
    where = f"{names.MODELS_KEY}[{index}]"
    if not isinstance(row, dict):
        raise ModelConfigError(f"{where}: must be an object")
    spec = row.get("modelSpec")
    if not isinstance(spec, dict):
        raise ModelConfigError(f"{where}.modelSpec: must be an object")
    name = _string(row, "modelName", where)
    # The name becomes a path segment under /mnt/models and in the server's URL.
    if not name or "/" in name or name.startswith("."):
        raise ModelConfigError(f"{where}.modelName: {name!r} is no name of a model")
    return Model(
        name=name,
        storage_uri=_string(spec, "storageUri", f"{where}.modelSpec"),
        framework=_string(spec, "framework", f"{where}.modelSpec"),
        memory=_string(spec, "memory", f"{where}.modelSpec"),
    )


def _string(row: Mapping[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise ModelConfigError(f"{where}.{key}: must be a string")
    return value


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
