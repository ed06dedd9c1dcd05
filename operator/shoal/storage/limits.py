"""How much a model may be. Set by a process's settings; these are their defaults."""

from dataclasses import dataclass

from shoal.reasons import Reason
from shoal.settings import DownloadSettings
from shoal.storage.failures import FetchError, Kind


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one download; a model beyond them is refused, a slow one is broken off."""

    files: int = 100_000
    size: int = 1 << 40  # bytes, downloaded as well as unpacked
    ratio: float = 100  # unpacked bytes to an archive's own, above the first 64 MiB
    stall_seconds: float = 60  # without a byte
    seconds: float = 6 * 3600  # one try; the next goes on where it stopped

    @classmethod
    def told(cls, settings: DownloadSettings) -> "Limits":
        """Take them from what the process was told."""
        return cls(
            files=settings.max_files,
            size=settings.max_bytes,
            ratio=settings.archive_ratio,
            stall_seconds=settings.stall_seconds,
            seconds=settings.seconds,
        )

    def accept_files(self, shown: str, files: int) -> None:
        """Look at how many files there are.

        Raises:
            FetchError: there are too many.
        """
        if files > self.files:
            message = f"{shown}: has more than {self.files} files (fetchMaxFiles)"
            raise FetchError(Kind.PERMANENT, Reason.ARTIFACT_TOO_LARGE, message)

    def accept_size(self, shown: str, size: int) -> None:
        """Look at how many bytes there are.

        Raises:
            FetchError: there are too many.
        """
        if size > self.size:
            message = f"{shown}: has {size} bytes, more than {self.size} (fetchMaxSize)"
            raise FetchError(Kind.PERMANENT, Reason.ARTIFACT_TOO_LARGE, message)
