"""What folders take on a disk, and when they were last touched. Callers: stores, partials."""

import os
from pathlib import Path

_BLOCK = 4096
_NOTES = 4 * _BLOCK  # of the store, about one tree


def measure(root: Path) -> int:
    """Count bytes as the kubelet does: whole blocks, and folders too."""
    taken = _NOTES
    for folder, _, files in os.walk(root):
        taken += _BLOCK
        for name in files:
            size = os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - many files
            taken += -(-size // _BLOCK) * _BLOCK
    return taken


def time(path: Path) -> float:
    """Tell when a file was last touched; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
