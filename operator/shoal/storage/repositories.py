"""Git repositories over http(s): `https://HOST/PATH.git[#REVISION]`. Caller: transfers.

```
 GET …/info/refs   asked as a link is: redirects, authorities, refusals; git is told where it ends
 git ls-remote     the commit that the revision names now
 git fetch         that commit alone, into a scratch folder
 git read-tree     its files, as git stores them, into the tree
 git lfs fetch     what they only point at
```

The files then follow the rules for archives: links become copies, and nothing leads out.
"""

import asyncio
import hashlib
import posixpath
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiohttp import ClientResponse, ClientSession

from shoal.reasons import Reason
from shoal.storage import archives, credentials, downloads, gitcommands, weblinks
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind, status_kind
from shoal.storage.gitcommands import LFS, Count, Git, Scratch
from shoal.storage.jobs import TREE, Job, Sums
from shoal.storage.limits import Limits
from shoal.storage.unpackings import ArchiveError, Unpacking
from shoal.storage.uris import Location
from shoal.storage.weblinks import Link

_OK = 200
_SERVICE = "git-upload-pack"
_REFS = "/info/refs"
# GitHub answers no program that is not called git.
_HEADERS = {"User-Agent": "git/shoal", "Git-Protocol": "version=2"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA1_DIGITS, _SHA256_DIGITS = 40, 64
_SCRATCH = "git"
_FETCHED = "fetched"
_LINK, _SUBMODULE = "120000", "160000"
_LONGEST_LINK = 4096
# The files of a commit as they are: no line ends, keywords, encodings or filters.
_AS_IT_IS = "* -text -ident -filter !eol !working-tree-encoding\n"
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/[^\0]*\noid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
_MARK = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1024


@dataclass(frozen=True, slots=True)
class Repository:
    """A commit of a repository, or the tag that names it: a source, as transfers knows them."""

    git: Git = field(repr=False)
    job: Job
    commit: str
    size: int = 0  # is never announced

    @property
    def fingerprint(self) -> str:
        """The same text means the same content."""
        return self.job.fingerprint([self.commit])

    async def download(self, work: Path, room: int, count: Count) -> Sums:
        """Make the tree of the commit's files, with at most `room` more bytes on the disk.

        Raises:
            FetchError: the server refuses or stops, or something in it is refused.
        """
        git, job, tree = self.git, self.job, work / TREE
        scratch = Scratch(work / _SCRATCH, room=room)
        async with job.watched(0, count) as seen:
            await _fetch(git, self.commit, replace(scratch, seen=seen))
        sums = await _write(self, tree, scratch)
        pointers = await asyncio.to_thread(_pointers, job.location.shown, tree, sums)
        if pointers:
            _accept(job, pointers, room)
            async with job.watched(_size(pointers), count) as seen:
                await _fetch_large(git, self.commit, replace(scratch, seen=seen), pointers)
            await asyncio.to_thread(_place, scratch.folder, tree, pointers)
        await asyncio.to_thread(shutil.rmtree, scratch.folder)
        found = {**sums, **{path: name for path, (name, _) in pointers.items()}}
        job.check(found, is_single=False)
        return found


async def find(session: ClientSession, job: Job, known: Credentials) -> Repository:
    """Ask which commit the revision names now.

    Raises:
        FetchError: there is none, it may not be had, or it cannot be asked.
    """
    location, limits = job.location, job.limits
    link = _link(session, location, known, limits)
    response = await link.get(_HEADERS)
    try:
        _check(link, response)
        url = response.url.with_query(None)
    finally:
        response.close()
    git = Git(
        shown=location.shown,
        url=str(url).removesuffix(_REFS),
        origin=str(url.origin()),
        headers=link.headers(url),
        authority=link.trusted.text,
        path=known.environ.get("PATH", "/usr/bin:/bin"),
        limits=limits,
    )
    git.find("git", "is a git repository")
    if _COMMIT.fullmatch(location.revision):
        return Repository(git, job, location.revision)
    return Repository(git, job, await _ask(git, location))


async def _ask(git: Git, location: Location) -> str:
    shown, revision = location.shown, location.revision
    whole = (f"refs/heads/{revision}", f"refs/tags/{revision}", revision)
    names = whole if revision else ("HEAD",)
    found: dict[str, str] = {}

    def take(row: str) -> None:
        commit, _, name = row.partition("\t")
        if name in names:
            found[name] = commit

    async with downloads.watched(git.limits, shown, 0, lambda _: None) as seen:
        scratch = Scratch(Path("/nonexistent"), seen)
        await git.run(["ls-remote", "--", git.url, *names], scratch, take=take)
    for name in names:
        if name in found:
            return found[name]
    message = (
        f"{shown}: it has no branch or tag {revision!r}; a commit is named by all of its 40 digits"
        if revision
        else f"{shown}: it is empty, or has no default branch; name a branch behind a #"
    )
    raise FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)


async def _fetch(git: Git, commit: str, scratch: Scratch) -> None:
    """Bring the commit, unless a try before did; half of a pack cannot be gone on with."""
    folder = scratch.folder
    if (folder / _FETCHED).exists():
        return
    await asyncio.to_thread(_clear, folder)
    kind = "sha1" if len(commit) == _SHA1_DIGITS else "sha256"
    await git.run(["init", "-q", "--bare", "--template=", f"--object-format={kind}"], scratch)
    (folder / "info").mkdir()
    (folder / "info" / "attributes").write_text(_AS_IT_IS)
    alone = ["--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
    await git.run(["fetch", "--progress", *alone, "--", git.url, commit], scratch)
    (folder / _FETCHED).touch()


async def _write(repository: Repository, tree: Path, scratch: Scratch) -> Sums:
    """Write the files of the commit; what they are is looked at before."""
    git, job, commit = repository.git, repository.job, repository.commit
    await asyncio.to_thread(_clear, tree)
    packed = await asyncio.to_thread(gitcommands.measure, scratch.folder)
    with job.judging(scratch.room - packed) as bound:
        growth = archives.growth(packed, job.limits.ratio)
        files = _Files(tree, Unpacking(tree, bound, growth, job.limits.files, "repository"))
        listing = ["ls-tree", "-r", "-l", "-z", "--full-tree", commit]
        await git.run(listing, scratch, take=files.add, end="\0")
        await git.run([f"--work-tree={tree}", "read-tree", "--reset", "-u", commit], scratch)
        return await asyncio.to_thread(files.finish)


def _clear(folder: Path) -> None:
    """Make an empty folder, in a worker thread; there may be one of a try before."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


class _Files:
    """The files of a commit: what git says of them, and what they are on the disk."""

    def __init__(self, tree: Path, unpacking: Unpacking) -> None:
        self._tree = tree
        self._unpacking = unpacking
        self._files: list[str] = []
        self._links: list[str] = []

    def add(self, row: str) -> None:
        """Look at an entry before any is written."""
        told, _, name = row.partition("\t")
        mode, _, _, size = told.split()
        self._unpacking.count()
        if "\\" in name:
            raise ArchiveError(f"the repository's entry {name!r} has a name that is refused")
        if mode == _SUBMODULE:
            raise ArchiveError(
                f"the repository's entry {name!r} is a submodule, which is not followed; "
                "put its files into this repository, or name its own address"
            )
        if mode == _LINK and int(size) > _LONGEST_LINK:
            raise ArchiveError(f"the repository's entry {name!r} links to no file within it")
        self._unpacking.expect(int(size), name)
        self._unpacking.add(int(size))
        (self._links if mode == _LINK else self._files).append(name)

    def finish(self) -> Sums:
        """Sum the files up, and make each link a copy, in a worker thread."""
        for name in self._files:
            with (self._tree / name).open("rb") as opened:
                self._unpacking.sums[name] = hashlib.file_digest(opened, "sha256").hexdigest()
        for name in self._links:
            path = self._tree / name
            target = path.read_bytes().decode("utf-8", "surrogateescape")
            path.unlink()
            self._unpacking.link(name, posixpath.dirname(name), target)
        self._unpacking.finish()
        return self._unpacking.sums


Pointers = Mapping[str, tuple[str, int]]  # by path: the sha256 and the bytes of what is meant


def _pointers(shown: str, tree: Path, paths: Iterable[str]) -> Pointers:
    """Find the files that only point at others, in a worker thread."""
    found = {}
    for path in sorted(paths):
        if (tree / path).stat().st_size > _LARGEST_POINTER:
            continue
        text = (tree / path).read_bytes()
        if not text.startswith(_MARK):
            continue
        match = _POINTER.match(text)
        if match is None:
            message = f"{shown}: {path!r} is a pointer to Git LFS that cannot be read"
            raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
        found[path] = (match[1].decode(), int(match[2]))
    return found


def _accept(job: Job, pointers: Pointers, room: int) -> None:
    """Look at how much is to come."""
    shown, size = job.location.shown, _size(pointers)
    job.limits.accept_size(shown, size)
    if size > room:
        message = f"{shown}: has {size} bytes in Git LFS, and there is room for {room} more"
        raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)


def _size(pointers: Pointers) -> int:
    return sum(size for _, size in pointers.values())


async def _fetch_large(git: Git, commit: str, scratch: Scratch, pointers: Pointers) -> None:
    git.find(LFS, f"{next(iter(pointers))!r} is only a pointer to Git LFS")
    await asyncio.to_thread(_recover, scratch.folder)
    # The scratch folder has no HEAD, so what the repository's .lfsconfig says is not seen.
    order = ["lfs", "fetch", "origin", commit]
    try:
        await git.run(order, scratch)
    except FetchError as error:
        lost = _lost(scratch.folder, pointers)
        if not lost:
            raise
        message = f"{error.message} ({lost[0]!r} is only a pointer to Git LFS)"
        raise FetchError(error.kind, error.reason, message) from error
    if lost := _lost(scratch.folder, pointers):
        shown = git.shown
        message = f"{shown}: {lost[0]!r} is only a pointer to Git LFS, which did not bring it"
        raise FetchError(Kind.UNKNOWN, Reason.MODEL_NOT_FOUND, message)


def _recover(folder: Path) -> None:
    """Let git-lfs go on with what a killed one left: it looks for it under another name."""
    parts = [each for each in (folder / "lfs" / "incomplete").glob("*") if each.suffix != ".part"]
    for each in sorted(parts, key=lambda part: part.stat().st_size):
        each.replace(each.with_name(f"{each.name[:_SHA256_DIGITS]}.part"))


def _lost(folder: Path, pointers: Pointers) -> Sequence[str]:
    return [path for path, (name, _) in pointers.items() if not _large(folder, name).exists()]


def _large(folder: Path, name: str) -> Path:
    return folder / "lfs" / "objects" / name[:2] / name[2:4] / name


def _place(folder: Path, tree: Path, pointers: Pointers) -> None:
    """Put the files where the pointers are, in a worker thread."""
    last = {name: path for path, (name, _) in pointers.items()}
    for path, (name, _) in pointers.items():
        if path != last[name]:
            shutil.copyfile(_large(folder, name), tree / path)
        else:
            _large(folder, name).replace(tree / path)


def _link(session: ClientSession, location: Location, known: Credentials, limits: Limits) -> Link:
    made = weblinks.make(session, location, known, limits)
    path = made.url.raw_path.rstrip("/") + _REFS
    url = made.url.with_fragment(None).with_path(path, encoded=True)
    made = replace(made, url=url.with_query(service=_SERVICE))
    given = urlsplit(location.uri)
    options = credentials.git(location.bucket, known)
    if given.password or not options.password:
        return made
    user = unquote(given.username or "") or options.user
    return replace(made, own=weblinks.basic(user, options.password), origin=options.origin)


def _check(link: Link, response: ClientResponse) -> None:
    if response.status != _OK:
        raise _refused(link, response)
    if response.content_type != f"application/x-{_SERVICE}-advertisement":
        message = (
            f"{link.location.shown}: {link.location.bucket} does not answer as a git server "
            f"does, but with {response.content_type}"
        )
        raise FetchError(Kind.PERMANENT, Reason.STORAGE_UNAVAILABLE, message)


def _refused(link: Link, response: ClientResponse) -> FetchError:
    """Make the error of an answer that is none."""
    shown, host = link.location.shown, link.location.bucket
    said = f"{response.status} {response.reason or ''}".rstrip()
    hint = credentials.hint(link.known, link.origin, "GIT_USERNAME and GIT_PASSWORD")
    if response.status in {401, 403} and hint:
        message = (
            f"{host} refused anonymous access to {shown} ({said}): it is private, "
            f"or not there; {hint}"
        )
        return FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, message)
    if response.status in {401, 403}:
        message = (
            f"{link.origin}: {host} refused its user and password for {shown} ({said}); "
            "they are wrong, expired, or may not read this repository"
        )
        return FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)
    if response.status in {404, 410}:
        asked = f"asked as a stranger; if it is private, {hint}" if hint else link.origin
        message = f"{host} has no repository {shown} ({said}; {asked})"
        return FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)
    message = f"{host} answered {said} for {shown}"
    return FetchError(status_kind(response.status), Reason.STORAGE_UNAVAILABLE, message)
