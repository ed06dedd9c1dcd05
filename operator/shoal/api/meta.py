"""The part of an object's metadata that decisions are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Metadata:
    """An object's identity and marks; `namespace` is empty for a cluster-scoped one."""

    name: str
    namespace: str
    uid: str
    generation: int
    labels: dict[str, str]
    annotations: dict[str, str]
    created: datetime
    deleting: bool

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Read `body["metadata"]`, as the API server wrote it."""
        raw = body.get("metadata") or {}
        created = raw.get("creationTimestamp")
        return cls(
            name=raw.get("name", ""),
            namespace=raw.get("namespace") or "",
            uid=raw.get("uid", ""),
            generation=raw.get("generation", 0),
            labels=dict(raw.get("labels") or {}),
            annotations=dict(raw.get("annotations") or {}),
            created=datetime.fromisoformat(created) if created else _EPOCH,
            deleting=bool(raw.get("deletionTimestamp")),
        )
