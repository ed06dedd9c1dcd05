"""Half downloads, kept until they are gone on with or nobody needs them. Caller: stores, fetches.

Each has a folder named by the fingerprint of what is downloaded (address, versions, sizes), so
that changed content never meets old bytes. `storage.partials` says what is in a folder, and why
it may be believed after a kill.
"""

import time
from pathlib import Path

from shoal.agent import sizes
from shoal.storage import partials

KEPT_SECONDS = 3600.0
AWAITED_SECONDS = 120.0  # longer than any pause between two tries, and than a restart


class Partials:
    """The folder of half downloads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._taken: set[Path] = set()
        self._measured: dict[Path, tuple[float, int]] = {}  # by when it was last touched

    def open(self) -> None:
        """Make the folder."""
        self._root.mkdir(parents=True, exist_ok=True)

    def take(self, fingerprint: str) -> Path | None:
        """Find or make the folder of a download; it is not idle until `leave`.

        None: there is no fingerprint, or somebody else has the folder.
        """
        work = self._root / fingerprint
        if not fingerprint or work in self._taken:
            return None
        work.mkdir(exist_ok=True)
        self._taken.add(work)
        return work

    def leave(self, work: Path) -> bool:
        """Let go of a folder; False when it is none of these."""
        is_ours = work in self._taken
        self._taken.discard(work)
        return is_ours

    def folder(self, name: str) -> Path:
        """Tell where the half download of this fingerprint is."""
        return self._root / name

    def sizes(self) -> list[tuple[float, str, int]]:
        """List idle folders: when they were last touched, their names and bytes."""
        found = []
        for work in self.idle(0):
            touched = _touched(work)
            if self._measured.get(work, (0.0, 0))[0] != touched:
                self._measured[work] = (touched, sizes.measure(work))
            found.append((touched, work.name, self._measured[work][1]))
        self._measured = {work: self._measured[work] for work in map(self.folder, _names(found))}
        return found

    def idle(self, seconds: float = KEPT_SECONDS) -> list[Path]:
        """List the folders that nobody has, and that no byte came into for so long."""
        oldest = time.time() - seconds
        folders = set(self._root.iterdir()) - self._taken
        return [work for work in folders if _touched(work) <= oldest]


def _names(rows: list[tuple[float, str, int]]) -> list[str]:
    return [name for _, name, _ in rows]


def _touched(work: Path) -> float:
    journal = work / partials.JOURNAL
    return (journal if journal.exists() else work).stat().st_mtime
