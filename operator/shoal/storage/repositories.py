"""Git repositories over http(s): `https://HOST/PATH.git[#REVISION]`. Caller: transfers.

```
 GET  …/info/refs?service=git-upload-pack     every branch and tag with its commit
 POST …/git-upload-pack   want COMMIT, deepen 1   a pack: that commit and its files alone
```

This is git's own protocol (gitprotocol-http), in the version that every server speaks. The
requests are those of a link: the same redirects, authorities, headers and secrecy.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from aiohttp import ClientResponse, ClientSession
from yarl import URL

from shoal.reasons import Reason
from shoal.storage import credentials, downloads, gitlines, threads, weblinks
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind, status_kind
from shoal.storage.gitlines import FLUSH, SECTION, Lines
from shoal.storage.limits import Limits
from shoal.storage.partials import File
from shoal.storage.uris import Location
from shoal.storage.weblinks import Link

Count = Callable[[int], None]

_OK = 200
_SERVICE = "git-upload-pack"
_REFS = "/info/refs"
# GitHub answers no program that is not called git.
_HEADERS = {"User-Agent": "git/shoal"}
_NEEDED = {"shallow", "side-band-64k"}
_ANY_COMMIT = {"allow-any-sha1-in-want", "allow-reachable-sha1-in-want"}
_OTHER_NAMES = "object-format=sha256"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NOTHING = "0" * 40
_DATA, _PROGRESS, _FAILURE = 1, 2, 3
_SUM_BYTES = 20


@dataclass(frozen=True, slots=True)
class Repository:
    """A commit of a repository, as its server offered it."""

    link: Link = field(repr=False)
    url: URL = field(repr=False)  # after redirects
    commit: str
    offered: frozenset[str]
    is_tip: bool  # of a branch or tag


async def find(
    session: ClientSession, location: Location, known: Credentials, limits: Limits
) -> Repository:
    """Ask which commit the revision names now.

    Raises:
        FetchError: there is none, it may not be had, or the server cannot be asked.
    """
    link = _link(session, location, known, limits)
    refs, shown = _Refs(location), location.shown
    response = await link.get(_HEADERS)
    try:
        _check(link, response, f"application/x-{_SERVICE}-advertisement")
        url = str(response.url.with_query(None)).removesuffix(_REFS)
        async with downloads.watched(limits, shown, 0, lambda _: None) as seen:
            await refs.read(Lines(response.content, shown), seen)
    finally:
        response.close()
    return Repository(link, URL(url, encoded=True), refs.commit(), refs.offered, refs.is_tip)


async def save(
    repository: Repository, file: File, room: int, limits: Limits, count: Count
) -> None:
    """Write the pack of the commit to `file`, at most `room` bytes; `count` is told of bytes.

    Raises:
        FetchError: the server refuses or stops, or it is too much.
    """
    link, shown = repository.link, repository.link.location.shown
    headers, body = _request(repository)
    response = await link.post(repository.url / _SERVICE, headers, body)
    file.clear()
    done, whole, last = 0, hashlib.sha1(usedforsecurity=False), b""
    try:
        _check(link, response, f"application/x-{_SERVICE}-result")
        async for piece in _pieces(Lines(response.content, shown), count):
            limits.accept_size(shown, done + len(piece))
            if done + len(piece) > room:
                message = f"{shown}: more than the {room} bytes that there is room for"
                raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
            await threads.run(len(piece), file.write, done, piece)
            done += len(piece)
            last += piece
            whole.update(last[:-_SUM_BYTES])
            last = last[-_SUM_BYTES:]
    finally:
        response.close()
    if whole.digest() != last:
        message = f"{shown}: what came of it is damaged: its checksum is another one"
        raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)


async def _pieces(lines: Lines, count: Count) -> AsyncGenerator[bytes, None]:
    """Read the pack out of an answer; whatever the server sends is a sign of life."""
    has_begun = False
    while True:
        line = await lines.read()
        band = line[0] if line else 0
        if line is None and has_begun:
            return
        if line and band == _DATA:
            has_begun = True
            count(len(line) - 1)
            if len(line) > 1:
                yield line[1:]
        elif line and band == _FAILURE:
            raise lines.refusal(line[1:])
        elif band == _PROGRESS:
            has_begun = True
            count(0)


def _request(repository: Repository) -> tuple[Mapping[str, str], bytes]:
    """Ask for one commit without those before it.

    A commit that no branch or tag names is asked for by version 2 of the protocol, where a
    server does not offer it: that version gives every commit that can be reached.
    """
    headers = _HEADERS | {"Content-Type": f"application/x-{_SERVICE}-request"}
    want, deepen, done = f"want {repository.commit}", "deepen 1", "done"
    if repository.is_tip or repository.offered & _ANY_COMMIT:
        told = sorted(repository.offered & {*_NEEDED, "ofs-delta", "no-progress"} - {"shallow"})
        lines = [gitlines.encode(" ".join([want, *told])), gitlines.encode(deepen), FLUSH]
        return headers, b"".join([*lines, gitlines.encode(done)])
    words = ["no-progress", "ofs-delta", want, deepen, done]
    lines = [gitlines.encode("command=fetch"), SECTION, *map(gitlines.encode, words), FLUSH]
    return headers | {"Git-Protocol": "version=2"}, b"".join(lines)


class _Refs:
    """What a server says of its branches and tags; only those that may be meant are kept."""

    def __init__(self, location: Location) -> None:
        self.offered: frozenset[str] = frozenset()
        self.is_tip = False
        self._location = location
        self._names = _names(location.revision)
        self._found: dict[str, str] = {}
        self._is_empty = True

    async def read(self, lines: Lines, seen: Count) -> None:
        if (await lines.read() or b"").startswith(b"# "):
            await lines.read()  # the mark behind the service's name
            while (line := await lines.read()) is not None:
                seen(len(line))
                self._take(line)
        if _OTHER_NAMES in self.offered:
            message = f"{self._location.shown}: names its commits by SHA-256, which is not read"
            raise FetchError(Kind.PERMANENT, Reason.STORAGE_UNAVAILABLE, message)
        missing = set() if self._is_empty else _NEEDED - self.offered
        if missing:
            message = (
                f"{self._location.shown}: its server cannot give one commit alone "
                f"(it offers no {' and no '.join(sorted(missing))})"
            )
            raise FetchError(Kind.PERMANENT, Reason.STORAGE_UNAVAILABLE, message)

    def _take(self, line: bytes) -> None:
        row, _, offered = line.partition(b"\0")
        commit, _, name = row.decode(errors="replace").strip().partition(" ")
        if offered:
            self.offered = frozenset(offered.decode(errors="replace").split())
        self._is_empty &= commit == _NOTHING
        self.is_tip |= commit == self._location.revision
        if name in self._names:
            self._found[name] = commit

    def commit(self) -> str:
        """Choose the commit that is meant."""
        shown, revision = self._location.shown, self._location.revision
        if self._is_empty:
            message = f"{shown}: the repository is empty"
        elif _COMMIT.fullmatch(revision):
            return revision
        elif found := next((name for name in self._names if name in self._found), ""):
            self.is_tip = True
            return self._found[found]
        elif revision:
            message = (
                f"{shown}: it has no branch or tag {revision!r}; "
                "a commit is named by all of its 40 digits"
            )
        else:
            message = f"{shown}: it has no default branch; name one behind a #"
        raise FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)


def _names(revision: str) -> tuple[str, ...]:
    """List what a revision may be called, what counts first first; a tag is what it points at."""
    if not revision:
        return ("HEAD",)
    whole = ("refs/heads/" + revision, "refs/tags/" + revision, revision)
    return tuple(name for each in whole for name in (f"{each}^{{}}", each))


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


def _check(link: Link, response: ClientResponse, content_type: str) -> None:
    if response.status != _OK:
        raise refused(link, response)
    if response.content_type != content_type:
        message = (
            f"{link.location.shown}: {link.location.bucket} does not answer as a git server "
            f"does, but with {response.content_type}"
        )
        raise FetchError(Kind.PERMANENT, Reason.STORAGE_UNAVAILABLE, message)


def refused(link: Link, response: ClientResponse) -> FetchError:
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
