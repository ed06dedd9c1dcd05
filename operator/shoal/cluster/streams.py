"""The watch streams as they are seen from the connection: their age, their gaps, their pace.

The API server sends a bookmark about once a minute, so a stream that has been silent for
longer is dead, whatever the socket says (kopf issue 1267). Kopf lists a collection anew when
its watch cannot go on where it was; what was deleted in that gap is then known to nobody, so
the gap is noted for the relist. And Kopf reopens a stream that ends at once without a pause:
the pace is kept here. Written by the client's session, read by the probes and the relist.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

_LASTING_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0


class Content(Protocol):
    """The body of a streamed response, as far as it is needed here."""

    total_bytes: int


@dataclass(slots=True)
class _Stream:
    content: Content
    seen_bytes: int
    seen_at: float
    opened_at: float
    short_lived: int  # how many in a row ended as soon as they were open


class Streams:
    """The newest watch stream of each collection, by the path of its URL."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._listed: set[str] = set()
        self.gap = asyncio.Event()
        """Set when a collection was listed anew after a gap in its watch; reset by who mends."""

    def pause(self, path: str, now: float) -> float:
        """Return how many seconds to wait before this collection is watched again."""
        stream = self._streams.get(path)
        if stream is None:
            return 0.0
        is_lasting = now - stream.opened_at >= _LASTING_SECONDS
        stream.short_lived = 0 if is_lasting else stream.short_lived + 1
        if not stream.short_lived:
            return 0.0
        return min(_LONGEST_PAUSE_SECONDS, _PAUSE_SECONDS * 2.0 ** min(stream.short_lived - 1, 10))

    def listed(self, path: str) -> None:
        """Note that a collection is listed: its watch, if there was one, could not go on."""
        self._listed.add(path)

    def opened(self, path: str, content: Content, now: float) -> None:
        """Note a new stream; to be opened is a sign of life."""
        before = self._streams.get(path)
        if before is not None and path in self._listed:
            self.gap.set()
        self._listed.discard(path)
        self._streams[path] = _Stream(
            content=content,
            seen_bytes=content.total_bytes,
            seen_at=now,
            opened_at=now,
            short_lived=before.short_lived if before else 0,
        )

    def unknown(self, paths: Iterable[str]) -> list[str]:
        """Return the collections of these that nobody has begun to list or watch."""
        return sorted(set(paths) - self._listed - self._streams.keys())

    def missing(self, paths: Iterable[str]) -> list[str]:
        """Return the collections of these that no stream was ever opened for."""
        return sorted(set(paths) - self._streams.keys())

    def ages(self, now: float) -> dict[str, float]:
        """Return the seconds since each stream's last sign, as far as calls of this saw."""
        for stream in self._streams.values():
            if stream.content.total_bytes != stream.seen_bytes:
                stream.seen_bytes, stream.seen_at = stream.content.total_bytes, now
        return {path: now - stream.seen_at for path, stream in self._streams.items()}
