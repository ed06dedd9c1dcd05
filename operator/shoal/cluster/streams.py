"""How long ago each watch stream gave a sign of life: an event or a bookmark.

The API server sends a bookmark about once a minute, so a stream that has been silent for
longer is dead, whatever the socket says (kopf issue 1267). Read by the probes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Content(Protocol):
    """The body of a streamed response, as far as it is needed here."""

    total_bytes: int


@dataclass(slots=True)
class _Stream:
    content: Content
    seen_bytes: int
    seen_at: float


class Streams:
    """The newest watch stream of each kind, by the kind's plural."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}

    def opened(self, plural: str, content: Content, now: float) -> None:
        """Note a new stream; to be opened is a sign of life."""
        self._streams[plural] = _Stream(content, content.total_bytes, now)

    def missing(self, plurals: Iterable[str]) -> list[str]:
        """Return the kinds of these that no stream was ever opened for."""
        return sorted(set(plurals) - self._streams.keys())

    def ages(self, now: float) -> dict[str, float]:
        """Return the seconds since each stream's last sign, as far as calls of this saw."""
        for stream in self._streams.values():
            if stream.content.total_bytes != stream.seen_bytes:
                stream.seen_bytes, stream.seen_at = stream.content.total_bytes, now
        return {plural: now - stream.seen_at for plural, stream in self._streams.items()}
