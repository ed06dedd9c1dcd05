"""Files that a repository only points at: Git LFS, from the repository's own server.

```
 POST …/info/lfs/objects/batch   which files, by sha256 and size   → a link and headers for each
 GET  each link                  in ranges, as any large file; resumed; its sha256 is its name
```

A file that git has is found to be a pointer by its content. Caller: transfers.
"""

import json
import re
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from yarl import URL

from shoal.reasons import Reason
from shoal.storage import downloads, repositories, weblinks
from shoal.storage.downloads import Wanted
from shoal.storage.failures import FetchError, Kind, first_line
from shoal.storage.limits import Limits
from shoal.storage.partials import Partial
from shoal.storage.repositories import Repository
from shoal.storage.weblinks import Link

_MARK = b"version https://git-lfs.github.com/spec/"
_TEXT = re.compile(rb"\noid sha256:([0-9a-f]{64})\nsize (\d+)\n")
_LARGEST_POINTER = 1024
_FOLDER = "lfs"
_BATCH = 100  # what servers take at once
_TYPE = "application/vnd.git-lfs+json"
_OK, _PARTIAL, _NOT_FOUND = 200, 206, 404
_CHUNK = 512 * 1024


@dataclass(frozen=True, slots=True)
class Pointers:
    """What a tree points at: sizes and paths by sha256; `held` are the bytes that it has."""

    objects: Mapping[str, int]
    paths: Mapping[str, Sequence[str]]
    held: int

    @property
    def size(self) -> int:
        """Bytes that are to come."""
        return sum(self.objects.values())


def find(shown: str, tree: Path, paths: Iterable[str]) -> Pointers:
    """Find the pointers among the files of a tree, in a worker thread.

    Raises:
        FetchError: one cannot be read.
    """
    objects: dict[str, int] = {}
    found: dict[str, list[str]] = {}
    held = 0
    for path in sorted(paths):
        size = (tree / path).stat().st_size
        held += size
        if size > _LARGEST_POINTER:
            continue
        text = (tree / path).read_bytes()
        if not text.startswith(_MARK):
            continue
        match = _TEXT.search(text)
        if match is None:
            message = f"{shown}: {path!r} is a pointer to Git LFS that cannot be read"
            raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
        name = match[1].decode()
        objects[name] = int(match[2])
        found.setdefault(name, []).append(path)
    return Pointers(objects, found, held)


class Objects:
    """The files that a repository's tree points at."""

    def __init__(self, repository: Repository, pointers: Pointers, partial: Partial) -> None:
        self._repository = repository
        self._pointers = pointers
        self._partial = partial
        self._links: dict[str, Link] = {}
        self._shown = repository.link.location.shown

    def wanted(self, room: int, limits: Limits) -> list[Wanted]:
        """Say what is to come, and where to.

        Raises:
            FetchError: it is more than there is room for.
        """
        whole = self._pointers.size + self._pointers.held
        limits.accept_size(self._shown, whole)
        wanted = [
            Wanted(name, self._partial.file(f"{_FOLDER}/{name}", size))
            for name, size in self._pointers.objects.items()
        ]
        if whole - sum(each.file.written for each in wanted) > room:
            message = (
                f"{self._shown}: has {whole} bytes with the files of Git LFS, and there is room "
                f"for {room} more"
            )
            raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
        return wanted

    async def download(self, wanted: Sequence[Wanted], count: Callable[[int], None]) -> None:
        """Bring what is missing.

        Raises:
            FetchError: the server has it not, or stops.
        """
        missing = [each.key for each in wanted if each.file.written < each.file.size]
        for at in range(0, len(missing), _BATCH):
            await self._ask(missing[at : at + _BATCH])
        await downloads.run(wanted, self._read, self._shown, count)

    def place(self, wanted: Sequence[Wanted], tree: Path) -> dict[str, str]:
        """Put the files where the pointers are, in a worker thread; return their sha256.

        Raises:
            FetchError: one is not what its pointer says.
        """
        for each in wanted:
            if each.file.sha256() != each.key:
                each.file.clear()
                message = f"{self._shown}: {self._named(each.key)} of Git LFS arrived damaged"
                raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)
        for each in wanted:
            first, *others = [tree / path for path in self._pointers.paths[each.key]]
            for other in others:
                shutil.copyfile(each.file.target, other)
            each.file.target.replace(first)
        shutil.rmtree(self._partial.target(_FOLDER))
        return {path: name for name, paths in self._pointers.paths.items() for path in paths}

    async def _ask(self, names: Sequence[str]) -> None:
        """Ask for the links of some files."""
        rows = [{"oid": name, "size": self._pointers.objects[name]} for name in names]
        body = {"operation": "download", "transfers": ["basic"], "objects": rows}
        link, url = self._repository.link, self._repository.url / "info/lfs/objects/batch"
        headers = {"Accept": _TYPE, "Content-Type": _TYPE}
        response = await link.post(url, headers, json.dumps(body).encode())
        try:
            if response.status == _NOT_FOUND:
                raise self._lacking(names[0], "its server has no Git LFS")
            if response.status != _OK:
                raise repositories.refused(link, response)
            answer = json.loads(await response.read())
            for row in answer["objects"]:
                self._links[str(row["oid"])] = self._link(row)
        except (ValueError, KeyError, TypeError, AttributeError, ClientError) as error:
            said = type(error).__name__
            message = f"{self._shown}: its server does not answer as Git LFS does ({said})"
            raise FetchError(Kind.UNKNOWN, Reason.STORAGE_UNAVAILABLE, message) from error
        finally:
            response.close()
        if lost := next((name for name in names if name not in self._links), ""):
            raise self._lacking(lost, "its server names no link for it")

    def _link(self, row: Mapping[str, Any]) -> Link:
        if error := row.get("error"):
            said = first_line(ValueError(str(error.get("message", ""))))
            raise self._lacking(str(row["oid"]), f"its server says {said!r}")
        action = row["actions"]["download"]
        link = self._repository.link
        url = link.follow(self._repository.url, str(action["href"]))
        given = {str(name): str(text) for name, text in (action.get("header") or {}).items()}
        is_same = url.origin() == link.url.origin()
        return replace(link, url=url, own=given or (link.own if is_same else {}))

    async def _read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        link = self._links[name]
        size = self._pointers.objects[name]
        ranged = {} if (start, end) == (0, size) else {"Range": f"bytes={start}-{end - 1}"}
        response = await link.get(ranged)
        try:
            if response.status not in {_OK, _PARTIAL}:
                # Such links expire; the next try is given another.
                message = (
                    f"{self._shown}: {_host(link.url)} answered {response.status} for "
                    f"{self._named(name)} of Git LFS"
                )
                raise FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, message)
            skip = 0 if response.status == _PARTIAL else start
            body = response.content.iter_chunked(_CHUNK)
            async for chunk in downloads.cut(body, skip, end - start):
                yield chunk
        except (ClientError, TimeoutError, ConnectionError) as error:
            said = weblinks.cause(error)
            message = f"{self._shown}: {self._named(name)} of Git LFS stopped coming: {said}"
            raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message) from error
        finally:
            response.close()

    def _lacking(self, name: str, why: str) -> FetchError:
        message = (
            f"{self._shown}: {self._named(name)} is only a pointer to Git LFS: {why}; "
            "push the file itself, or put the model into a bucket"
        )
        return FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)

    def _named(self, name: str) -> str:
        return repr(next(iter(self._pointers.paths.get(name, ())), name))


def _host(url: URL) -> str:
    return url.host or ""
