"""Folders of files, named by what is in them. Runs in worker threads."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

_DIGEST_LENGTH = 32


def digest(root: Path, sums: Mapping[str, str] | None = None) -> str:
    """Name a folder by its files' paths, sizes and contents; links count by their targets.

    `sums` are the sha256 of files that were summed up while they were written, by their path.
    """
    known = sums or {}
    whole = hashlib.sha256()
    for path in sorted(files(root)):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            line = f"{name}\0link\0{path.readlink()}\n"
        else:
            content = known.get(name) or _sum(path)
            line = f"{name}\0{path.stat().st_size}\0{content}\n"
        whole.update(line.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()[:_DIGEST_LENGTH]


def _sum(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def open_up(root: Path) -> None:
    """Let everyone read it: the model server runs as another user (755 and 644)."""
    for folder, _, names in os.walk(root):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o644)


def touch(root: Path, nanoseconds: int) -> None:
    """Set the time of all folders; files keep theirs, and the digest knows neither."""
    for folder, _, _ in os.walk(root):
        os.utime(folder, ns=(nanoseconds, nanoseconds))


def is_empty(root: Path) -> bool:
    """Tell whether there is no file in it."""
    return next(iter(files(root)), None) is None


def sizes(root: Path) -> dict[str, int]:
    """List its files by their paths, with their bytes."""
    return {path.relative_to(root).as_posix(): path.lstat().st_size for path in files(root)}


def files(root: Path) -> list[Path]:
    """List its files, and links, wherever they lead."""
    found = []
    for folder, folders, names in os.walk(root):
        found += [Path(folder, name) for name in names]
        found += [Path(folder, name) for name in folders if Path(folder, name).is_symlink()]
    return found
