"""What folders take on a disk, what it has free, and when files were last touched.

Callers: stores, partials, destinations, caches.
"""

import os
import shutil
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


def free(folder: Path) -> int:
    """Count the bytes that the disk of a folder has free; 0 where it cannot be asked."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def time(path: Path) -> float:
    """Tell when a file was last touched; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
