"""models.json: the wanted models of one server, from the operator to its agents.

The operator writes it into ConfigMaps, each agent reads it from there. The format is
upstream's (contract §5.2), except that its order is fixed, so that the same models are always
the same bytes. A list that is too long for one ConfigMap is spread over several, its shards:

```
 data:
   models.json   the models of this shard
   shards        how many shards there are, in each of them; absent where there is one
 annotation      the digest of both, so that what somebody else wrote is told from the operator's
```
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shoal import names

LARGEST_MODEL: Final = 16 * 1024
"""Bytes that one model may take, so that a hash spreads models evenly whatever their size."""

_DIGEST_LENGTH = 16
_COUNT = re.compile("[1-9][0-9]{0,3}")
_ARTIFACT_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_LONG_IN_GO = "&<>"  # its JSON writes each of them as six bytes
# Ours, and written only where the user asked for it, so that all else is upstream's.
_OPTIONAL = {
    "refresh": "refresh",
    "artifactDigest": "artifact_digest",
    "storageSecretName": "storage_secret",
}


class ModelConfigError(ValueError):
    """What is wrong in models.json, and where."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model that a server should hold.

    `refresh` is any token: a new one asks for the bytes that the address has now.
    `artifact_digest` is what those bytes must have, as `sha256:` and hex. `storage_secret`
    names the one Secret to log in with. Each is "" where the user did not ask for it.
    """

    name: str
    storage_uri: str
    framework: str
    memory: str
    refresh: str = ""
    artifact_digest: str = ""
    storage_secret: str = ""

    @property
    def digest(self) -> str:
        """Identify what is to be served: a change of memory or of the Secret loads nothing."""
        asked = {"refresh": self.refresh, "artifactDigest": self.artifact_digest}
        text = _compact(
            {"storageUri": self.storage_uri, "framework": self.framework} | _given(asked)
        )
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of the list that is in one ConfigMap: one of `count`, sorted by name."""

    models: tuple[Model, ...]
    count: int
    digest: str


def digest_fault(digest: str) -> str:
    """Say what is wrong with an artifact digest; "" is nothing, also where none is given."""
    if not digest or _ARTIFACT_DIGEST.fullmatch(digest):
        return ""
    return f"must be 'sha256:' and 64 lower-case hex digits, not {digest!r}"


def row(model: Model) -> str:
    """Write one model's row of the list: compact, upstream's order of keys."""
    return _compact(
        {
            "modelName": model.name,
            "modelSpec": {
                "storageUri": model.storage_uri,
                "framework": model.framework,
                "memory": model.memory,
                **_given({key: getattr(model, field) for key, field in _OPTIONAL.items()}),
            },
        }
    )


def size(row: str) -> int:
    """Count the bytes of a row as the API server writes them: as JSON within JSON."""
    return len(json.dumps(row)) - 1 + 5 * sum(map(row.count, _LONG_IN_GO))


def encode(models: Iterable[Model]) -> dict[str, str]:
    """Make the data of the one ConfigMap of a list that fits into it."""
    return join(row(model) for model in sorted(models, key=lambda model: model.name))


def join(rows: Iterable[str], count: int = 1) -> dict[str, str]:
    """Make the data of one of `count` ConfigMaps, of rows that are sorted by name."""
    data = {names.MODELS_KEY: f"[{','.join(rows)}]"}
    return data if count == 1 else data | {names.SHARDS_KEY: str(count)}


def digest(data: Mapping[str, str]) -> str:
    """Identify a ConfigMap's data; of a list that is in one, it is models.json's sha256."""
    text = data.get(names.MODELS_KEY, "") + data.get(names.SHARDS_KEY, "")
    return hashlib.sha256(text.encode()).hexdigest()


def read(config_map: Mapping[str, Any]) -> Shard:
    """Read a ConfigMap as the operator wrote it.

    Raises:
        ModelConfigError: somebody else wrote it, or it cannot be read.
    """
    data = config_map.get("data") or {}
    told = (config_map["metadata"].get("annotations") or {}).get(names.MODELS_DIGEST_ANNOTATION)
    if told != digest(data):
        raise ModelConfigError("its data is not what the operator wrote")
    return decode_shard(data)


def decode_shard(data: Mapping[str, str]) -> Shard:
    """Read a ConfigMap's data, whoever wrote it.

    Raises:
        ModelConfigError: it says what is wrong where.
    """
    told = data.get(names.SHARDS_KEY, "1")
    if not _COUNT.fullmatch(told):
        raise ModelConfigError(f"{names.SHARDS_KEY}: {told!r} is no number of ConfigMaps")
    return Shard(decode(data), int(told), digest(data))


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
        **{
            field: _string(spec, key, f"{where}.modelSpec")
            for key, field in _OPTIONAL.items()
            if key in spec
        },
    )


def _given(values: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}


def _string(row: Mapping[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise ModelConfigError(f"{where}.{key}: must be a string")
    return value


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
