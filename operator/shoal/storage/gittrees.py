"""The files of one commit, out of a pack of git. Caller: archives. Runs in a worker thread.

What a person would see after `git clone --depth 1`, less `.git`: by the rules for archives, so
that nothing lands outside and a link becomes a copy of the file that it leads to. A submodule,
which git only points at, is refused.
"""

import posixpath
import shutil
from collections.abc import Iterator
from pathlib import Path

from shoal.storage import gitpacks
from shoal.storage.gitpacks import Objects
from shoal.storage.unpackings import ArchiveError, Unpacking

_SCRATCH = ".git"  # no file of a commit may be called so
_FOLDER, _FILE, _LINK, _SUBMODULE = 0o40000, 0o100000, 0o120000, 0o160000
_KIND = 0o170000
_LARGEST_LIST = 64 * 1024 * 1024
_LARGEST_COMMIT = 1024 * 1024
_LONGEST_LINK = 4096
_TREE = b"tree "


def unpack(pack: Path, unpacking: Unpacking) -> None:
    """Write the files of the commit that the pack is named after.

    Raises:
        ArchiveError: it is broken, or has an entry that is refused.
    """
    scratch = unpacking.into / _SCRATCH
    scratch.mkdir()
    objects = gitpacks.unpack(pack, scratch, unpacking)
    _Files(objects, unpacking).write(bytes.fromhex(pack.stem))
    unpacking.finish()
    shutil.rmtree(scratch)


class _Files:
    """The files of a commit on their way to their places."""

    def __init__(self, objects: Objects, unpacking: Unpacking) -> None:
        self._objects = objects
        self._unpacking = unpacking
        self._taken: dict[bytes, str] = {}  # where the first file with a content is

    def write(self, commit: bytes) -> None:
        text = self._read(commit, "commit", _LARGEST_COMMIT)
        root = text.partition(b"\n")[0].removeprefix(_TREE).decode(errors="replace")
        folders = [("", bytes.fromhex(root))]
        while folders:
            folder, tree = folders.pop()
            for mode, name, found in _entries(self._read(tree, "tree", _LARGEST_LIST)):
                self._unpacking.count()
                path = folder + _checked(folder, name)
                if mode & _KIND == _FOLDER:
                    folders.append((f"{path}/", found))
                else:
                    self._place(path, mode & _KIND, found)

    def _place(self, path: str, kind: int, name: bytes) -> None:
        if kind == _SUBMODULE:
            raise ArchiveError(
                f"the repository's entry {path!r} is a submodule, which is not followed; "
                "put its files into this repository, or name its own address"
            )
        if kind == _LINK:
            target = self._read(name, "blob", _LONGEST_LINK).decode("utf-8", "surrogateescape")
            self._unpacking.link(path, posixpath.dirname(path), target)
        elif kind == _FILE:
            self._file(path, name)
        else:
            raise ArchiveError(f"the repository's entry {path!r} is of a kind that git has not")

    def _file(self, path: str, name: bytes) -> None:
        if name in self._taken:
            self._unpacking.copy(path, self._taken[name])
            return
        content = self._objects.path(name, "blob")
        if not content.exists():
            raise ArchiveError(f"the repository's pack is broken: {path!r} is not in it")
        sha256 = self._objects.sums.pop(name)
        self._taken[name] = self._unpacking.take(path, content, sha256)

    def _read(self, name: bytes, kind: str, most: int) -> bytes:
        path = self._objects.path(name, kind)
        if name in self._taken:  # a link whose text is also the content of a file
            path = self._unpacking.into / self._taken[name]
        if not path.exists():
            raise ArchiveError(f"the repository's pack has no {kind} {name.hex()}")
        if path.stat().st_size > most:
            raise ArchiveError(f"the repository has a {kind} of more than {most} bytes")
        return path.read_bytes()


def _entries(tree: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Read the list of a folder: mode, name and id of each entry."""
    at = 0
    while at < len(tree):
        space, end = tree.find(b" ", at), tree.find(b"\0", at)
        after = end + 1 + gitpacks.ID_BYTES
        if not at < space < end or after > len(tree):
            raise ArchiveError("the repository's pack is broken: a folder's list is not one")
        name = tree[space + 1 : end].decode("utf-8", "surrogateescape")
        yield int(tree[at:space], 8), name, tree[end + 1 : after]
        at = after


def _checked(folder: str, name: str) -> str:
    is_odd = name in {"", ".", ".."} or "/" in name or "\\" in name
    if is_odd or name.lower() == _SCRATCH:
        raise ArchiveError(f"the repository's entry {folder + name!r} has a name that is refused")
    return name
