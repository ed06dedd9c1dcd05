"""The programs `git` and `git-lfs`, as child processes that know nothing but what is told here.

No file of a user's or of the machine's configures them, no hook or filter runs, and they speak
http(s) alone. Secrets are in their environment, never in their arguments. A child has a process
group of its own, which ends with the call. Caller: repositories.
"""

import asyncio
import base64
import contextlib
import os
import re
import resource
import shutil
import signal
import ssl
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shoal.reasons import Reason
from shoal.storage import uris
from shoal.storage.failures import FetchError, Kind, first_line
from shoal.storage.limits import Limits
from shoal.storage.unpackings import ArchiveError

Count = Callable[[int], None]
Take = Callable[[str], None]

LFS = "git-lfs"
# What bounds the memory: pieces of large files instead of whole ones, small caches, one thread.
_SETTINGS = {
    "core.bigFileThreshold": "1m",
    "core.deltaBaseCacheLimit": "16m",
    "core.packedGitWindowSize": "1m",
    "core.packedGitLimit": "32m",
    "pack.threads": "1",
    "fetch.unpackLimit": "1",
    "core.hooksPath": "/dev/null",
    "core.symlinks": "false",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
    "lfs.basictransfersonly": "true",
    "lfs.concurrenttransfers": "4",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "transfer.fsckObjects": "true",
}
_MEMORY = 512 * 1024 * 1024  # half of what an agent has by default
_HELPER = """!f() { printf 'username=%s\\npassword=%s\\n' "$SHOAL_USER" "$SHOAL_PASSWORD"; }; f"""
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_POLL_SECONDS = 0.2
_LONGEST_ROW = 1024 * 1024
_TAIL = 8192
_SAID = re.compile(
    r"^(?:fatal: |error: (?!failed to fetch some)|batch response: |.*\bLFS: |\[\w+\] )(.+)"
    r"|^(expected OID .+)",
    re.MULTILINE,
)
_LINK = re.compile(r"https?://[^\s'\"]+")
# What is said → what helps, the reason, and what it means.
_CAUSES = (
    (
        re.compile(r"[Oo]ut of memory|cannot allocate|killed by signal 9"),
        Kind.PERMANENT,
        Reason.ARTIFACT_TOO_LARGE,
        f"git may have {_MEMORY >> 20} MiB of memory, which is not enough; use Git LFS",
    ),
    (
        re.compile(r"No space left on device|Disk quota exceeded"),
        Kind.PERMANENT,
        Reason.STORE_FULL,
        "the disk is full",
    ),
    (
        re.compile(r"not our ref|unadvertised object|\[404\]"),
        Kind.PERMANENT,
        Reason.MODEL_NOT_FOUND,
        "the server has not what was asked for",
    ),
    (
        re.compile(r"RPC failed|still expected|EOF|hung up|disconnect|expected OID|curl \d+"),
        Kind.TRANSIENT,
        Reason.DOWNLOAD_FAILED,
        "the download failed",
    ),
    (
        re.compile(r"^object \w+: |fsck error|invalid path|File name too long"),
        Kind.PERMANENT,
        Reason.INVALID_ARTIFACT,
        "git refuses the repository",
    ),
    (re.compile(""), Kind.UNKNOWN, Reason.STORAGE_UNAVAILABLE, "git says"),
)


@dataclass(frozen=True, slots=True)
class Scratch:
    """The folder of a repository, what its growth is told to, and how large it may become."""

    folder: Path
    seen: Count = lambda _: None
    room: int = 1 << 62


@dataclass(frozen=True, slots=True)
class Git:
    """How the programs are called for one repository; `path` is where they are looked for."""

    shown: str
    url: str
    origin: str  # scheme, host and port, to which the headers go
    headers: Mapping[str, str] = field(repr=False)
    authority: str = field(repr=False)  # certificates to trust beside the machine's
    path: str
    limits: Limits

    def find(self, program: str, why: str) -> None:
        """Look whether a program is there.

        Raises:
            FetchError: it is not.
        """
        if shutil.which(program, path=self.path) is None:
            message = f"{self.shown}: {why}, and the program {program} is not installed here"
            raise FetchError(Kind.PERMANENT, Reason.STORAGE_UNAVAILABLE, message)

    async def run(
        self, argv: Sequence[str], scratch: Scratch, *, take: Take | None = None, end: str = "\n"
    ) -> None:
        """Run a command of git to its end; `take` gets each row of what it prints.

        Raises:
            FetchError: it failed, or wrote more than there is room for.
        """
        async with self._started(argv, scratch) as process:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_rows(process, take, end.encode()))
                    tail = group.create_task(_tail(process, scratch.seen))
                    watch = group.create_task(self._watch(scratch))
                    code = await process.wait()
                    watch.cancel()
            except BaseExceptionGroup as failures:  # callers await one error, not a group
                raise failures.exceptions[0] from None
        if code:
            await asyncio.to_thread(self._check, scratch)
            _, password = _login(self.headers) or ("", "")
            secrets = [each for each in (*self.headers.values(), password) if each]
            said = tail.result().decode(errors="replace")
            raise failure(self.shown, code, said, secrets)

    @contextlib.asynccontextmanager
    async def _started(self, argv: Sequence[str], scratch: Scratch) -> AsyncIterator[Process]:
        trusted = _trusted(self.authority)
        try:
            process = await asyncio.create_subprocess_exec(
                shutil.which("git", path=self.path) or "git",
                *argv,
                env=self._environ(argv, scratch, trusted),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                cwd="/",
                limit=_LONGEST_ROW,
                start_new_session=True,
                pass_fds=trusted,
            )
        finally:
            for descriptor in trusted:
                os.close(descriptor)
        try:
            _bound(process.pid, min(scratch.room, self.limits.size))
            yield process
        finally:
            if process.returncode is None:
                await _end(process)

    def _environ(
        self, argv: Sequence[str], scratch: Scratch, trusted: Sequence[int]
    ) -> dict[str, str]:
        headers, login = dict(self.headers), ("", "")
        rows = [*_SETTINGS.items()]
        # This ends a child that nobody is left to end.
        rows += [("http.lowSpeedTime", f"{60 + 2 * self.limits.stall_seconds:.0f}")]
        rows += [("lfs.url", f"{self.url}/info/lfs"), ("remote.origin.url", self.url)]
        if argv[0] == "lfs" and (found := _login(headers)):
            # As a header it would be beside the one that the server names for a file.
            login = found
            del headers["Authorization"]
            rows += [(f"credential.{self.origin}.helper", _HELPER)]
        rows += [(f"http.{self.origin}.extraHeader", f"{k}: {v}") for k, v in headers.items()]
        environ = {
            "PATH": self.path,
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_DIR": str(scratch.folder),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(rows)),
            "SHOAL_USER": login[0],
            "SHOAL_PASSWORD": login[1],
        }
        environ |= {f"GIT_CONFIG_KEY_{index}": row[0] for index, row in enumerate(rows)}
        environ |= {f"GIT_CONFIG_VALUE_{index}": row[1] for index, row in enumerate(rows)}
        if trusted:
            environ["GIT_SSL_CAINFO"] = f"/proc/self/fd/{trusted[0]}"
        return environ

    async def _watch(self, scratch: Scratch) -> None:
        done = await asyncio.to_thread(measure, scratch.folder)
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            size = await asyncio.to_thread(self._check, scratch)
            if size > done:
                scratch.seen(size - done)
                done = size

    def _check(self, scratch: Scratch) -> int:
        size = measure(scratch.folder)
        if size >= scratch.room:
            message = f"{self.shown}: more than the {scratch.room} bytes that there is room for"
            raise FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
        self.limits.accept_size(self.shown, size + 1)
        return size


def failure(shown: str, code: int, said: str, secrets: Sequence[str]) -> FetchError:
    """Make the error of a program that ended with this code, and said this. Pure."""
    found = _SAID.search(said.replace("\r", "\n"))
    text = found[1] or found[2] if found else f"it ended with code {code}"
    text = _LINK.sub(lambda link: uris.redact(link[0]), text.removeprefix("remote error: "))
    for secret in secrets:
        text = text.replace(secret, "***")
    text = "killed by signal 9" if code == -signal.SIGKILL else text
    kind, reason, why = next(row[1:] for row in _CAUSES if row[0].search(text))
    return FetchError(kind, reason, f"{shown}: {why}: {first_line(ValueError(text))}")


def measure(folder: Path) -> int:
    """Count the bytes in a folder that somebody else writes to."""
    size = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(where, name).lstat().st_size
    return size


def _login(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Read user and password out of a header, if it has them."""
    kind, _, encoded = headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    user, _, password = base64.b64decode(encoded).decode(errors="replace").partition(":")
    return user, password


def _trusted(authority: str) -> tuple[int, ...]:
    """Write the machine's certificates and these to a file without a name; git takes one file."""
    if not authority:
        return ()
    known = Path(ssl.get_default_verify_paths().cafile or _BUNDLE)
    text = known.read_text(errors="replace") if known.exists() else ""
    descriptor = os.memfd_create("authorities")
    with os.fdopen(os.dup(descriptor), "w") as sink:
        sink.write(f"{text}\n{authority}")
    return (descriptor,)


def _bound(pid: int, size: int) -> None:
    """Let the kernel hold a child, and what it starts, to its memory and to the size of a file."""
    bounds = {resource.RLIMIT_DATA: _MEMORY, resource.RLIMIT_FSIZE: size, resource.RLIMIT_CORE: 0}
    for kind, most in bounds.items():
        with contextlib.suppress(OSError):  # it has ended, or this kernel cannot
            resource.prlimit(pid, kind, (most, most))


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()
    await asyncio.to_thread(_reap, process.pid)


def _reap(group: int) -> None:
    """Wait for what the child had started: it is ours now, where we are a container's first."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


async def _rows(process: Process, take: Take | None, end: bytes) -> None:
    stream = process.stdout
    while stream and (row := await _until(stream, end)):
        if take:
            take(row.removesuffix(end).decode("utf-8", "surrogateescape"))


async def _until(stream: asyncio.StreamReader, end: bytes) -> bytes:
    try:
        return await stream.readuntil(end)
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        raise ArchiveError(
            f"the repository has a name of more than {_LONGEST_ROW} bytes"
        ) from error


async def _tail(process: Process, seen: Count) -> bytes:
    """Keep the end of what is said; whatever it is, it is a sign of life."""
    tail = b""
    while process.stderr and (block := await process.stderr.read(_TAIL)):
        seen(0)
        tail = (tail + block)[-_TAIL:]
    return tail
