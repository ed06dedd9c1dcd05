"""Git's own server, `git http-backend`, behind a small web server, with faults."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.certificates import Authority
from support import loops

GIT = shutil.which("git") or "git"
FILE, FOLDER, LINK, SUBMODULE = "100644", "040000", "120000", "160000"
_REFUSAL = b"""HTTP/1.1 401 Unauthorized\r
WWW-Authenticate: Basic realm="git"\r
Connection: close\r
Content-Length: 0\r\n\r\n"""
_ENVIRON = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "HOME": "/nonexistent",
    "GIT_HTTP_EXPORT_ALL": "1",
}

Files = Mapping[str, bytes | tuple[str, str]]  # a content, or a mode and what it points at


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def wants_pack(self) -> bool:
        """Whether a commit is asked for, and no list."""
        return self.target.endswith("/git-upload-pack") and b"want " in self.body


@dataclass(frozen=True)
class Fault:
    """What happens to an answer with a pack: after so many bytes "reset", "close" or "hang"."""

    at: int
    how: str


@dataclass
class GitSite:
    """The server; it runs in a thread of its own, so that agents can ask it too."""

    root: Path
    url: str = ""
    login: str = ""  # user:password that is asked for
    faults: list[Fault] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)  # from the start of a target
    asked: list[Asked] = field(default_factory=list)
    authority: Path | None = None
    version: str = ""  # of the protocol; "" is what is asked for
    large: dict[str, bytes] = field(default_factory=dict)  # what Git LFS has, by sha256
    large_host: str = "localhost"
    large_faults: list[Fault] = field(default_factory=list)

    def make(self, name: str, *config: str, names: str = "sha1") -> str:
        """Make an empty repository; return its address."""
        made = ("--bare", "--initial-branch=main", f"--object-format={names}")
        _git("init", "--quiet", *made, str(self.root / name))
        for row in config:
            _git("-C", str(self.root / name), "config", *row.split("="))
        return f"{self.url}/{name}"

    def commit(self, name: str, files: Files, ref: str = "refs/heads/main") -> str:
        """Write a commit that has exactly these files; return its id."""
        rows = [f"commit {ref}\ncommitter A <a@example.com> 1700000000 +0000\ndata 0\n".encode()]
        if self.has(name, ref):
            rows.append(f"from {ref}^0\n".encode())
        rows += [b"deleteall\n", *(_entry(path, files[path]) for path in files)]
        repository = str(self.root / name)
        _git("-C", repository, "fast-import", "--quiet", "--force", given=b"".join(rows))
        return _git("-C", repository, "rev-parse", ref)

    def list(self, name: str, *rows: tuple[str, str, str]) -> str:
        """Write a folder of mode, id and name of each entry, whatever they are; return its id."""
        kinds = {FOLDER: "tree", SUBMODULE: "commit"}
        lines = [f"{mode} {kinds.get(mode, 'blob')} {what}\t{text}\n" for mode, what, text in rows]
        given = "".join(lines).encode()
        return _git("-C", str(self.root / name), "mktree", "--missing", given=given)

    def store(self, name: str, content: bytes) -> str:
        """Write a content alone; return its id."""
        return _git("-C", str(self.root / name), "hash-object", "-w", "--stdin", given=content)

    def publish(self, name: str, tree: str) -> None:
        """Make a commit of a folder the newest one."""
        told = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-C", str(self.root / name))
        commit = _git(*told, "commit-tree", "-m", "x", tree)
        _git(*told, "update-ref", "refs/heads/main", commit)

    def point(self, content: bytes) -> bytes:
        """Put a file into Git LFS; return what git has of it."""
        name = hashlib.sha256(content).hexdigest()
        self.large[name] = content
        head = "version https://git-lfs.github.com/spec/v1"
        return f"{head}\noid sha256:{name}\nsize {len(content)}\n".encode()

    def tag(self, name: str, tag: str, commit: str) -> None:
        """Make a tag that is an object of its own."""
        told = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        _git("-C", str(self.root / name), *told, "tag", "-a", "-m", "x", tag, commit)

    def has(self, name: str, ref: str) -> bool:
        """Tell whether there is such a branch."""
        return ref in _git("-C", str(self.root / name), "for-each-ref", "--format=%(refname)")

    @property
    def packs(self) -> int:
        """How many packs were asked for."""
        return sum(each.wants_pack for each in self.asked)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of a connection, and end it."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                asked = await _read(reader)
                self.asked.append(asked)
                await self._answer(asked, writer)
            finally:
                writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        given = asked.headers.get("authorization", "")
        if asked.target.startswith("/large/"):
            assert given == "Bearer large"
            await self._bring(asked, writer)
            return
        login = base64.b64encode(self.login.encode()).decode()
        to = next((to for at, to in self.redirects.items() if asked.target.startswith(at)), "")
        if to:
            start = next(at for at in self.redirects if asked.target.startswith(at))
            head = f"302 Found\r\nLocation: {to}{asked.target.removeprefix(start)}"
            await _send(
                writer,
                f"HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode(),
            )
        elif self.login and given != f"Basic {login}":
            await _send(
                writer,
                _REFUSAL,
            )
        elif asked.target.endswith("/info/lfs/objects/batch"):
            await self._list(asked, writer)
        else:
            await self._run(asked, writer)

    async def _list(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Name links, usually on another host: the repository's password must not come there."""
        wanted = json.loads(asked.body)
        assert (wanted["operation"], wanted.get("transfers", ["basic"])) == ("download", ["basic"])
        elsewhere = self.url.replace("127.0.0.1", self.large_host)
        rows = []
        for row in wanted["objects"]:
            href = f"{elsewhere}/large/{row['oid']}"
            action = {"href": href, "header": {"Authorization": "Bearer large"}}
            lost = {"error": {"code": 404, "message": "Object does not exist"}}
            found = {"actions": {"download": action}}
            rows.append(row | (found if row["oid"] in self.large else lost))
        body = json.dumps({"transfer": "basic", "objects": rows}).encode()
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.git-lfs+json; charset=utf-8"
        await _send(
            writer,
            f"{head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body,
        )

    async def _bring(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        body, status = self.large[asked.target.rpartition("/")[2]], "200 OK"
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("range", "")):
            span = f"Content-Range: bytes {found[1]}-{found[2]}/{len(body)}"
            status = f"206 Partial Content\r\n{span}"
            body = body[int(found[1]) : int(found[2]) + 1]
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        await _send(writer, head.encode())
        fault = self.large_faults.pop(0) if self.large_faults else None
        await _send(writer, body[: fault.at] if fault else body)
        if fault and fault.how == "hang":
            await asyncio.sleep(3600)

    async def _run(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        path, _, query = asked.target.partition("?")
        environ = _ENVIRON | {
            "GIT_PROJECT_ROOT": str(self.root),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": asked.method,
            "CONTENT_TYPE": asked.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(asked.body)),
            "GIT_PROTOCOL": self.version or asked.headers.get("git-protocol", ""),
        }
        answer = await asyncio.to_thread(_backend, asked.body, environ)
        head, _, body = answer.partition(b"\r\n\r\n")
        status = b"200 OK"
        if head.startswith(b"Status: "):
            first, _, head = head.partition(b"\r\n")
            status = first.removeprefix(b"Status: ")
        rows = [b"HTTP/1.1 " + status, b"Connection: close", head, b"", b""]
        await _send(writer, b"\r\n".join(rows))
        fault = self.faults.pop(0) if self.faults and asked.wants_pack else None
        await _send(writer, body[: fault.at] if fault else body)
        if fault and fault.how == "hang":
            await asyncio.sleep(3600)
        elif fault and fault.how == "reset":
            await asyncio.sleep(0.1)  # what was sent arrives first
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


def _backend(body: bytes, environ: Mapping[str, str]) -> bytes:
    done = subprocess.run(  # noqa: S603 - ours
        [GIT, "http-backend"], input=body, env=environ, capture_output=True, check=False
    )
    return done.stdout


async def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(body)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rows = head.split("\r\n")
    pairs = (row.partition(":") for row in rows if row)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split()
    return Asked(method, target, headers, body)


def _entry(path: str, content: bytes | tuple[str, str]) -> bytes:
    mode, body = (FILE, content) if isinstance(content, bytes) else (content[0], b"")
    if mode == SUBMODULE:
        return f"M {mode} {content[1]} {path}\n".encode()
    if isinstance(content, tuple):
        body = content[1].encode()
    assert isinstance(body, bytes)
    return f"M {mode} inline {path}\ndata {len(body)}\n".encode() + body + b"\n"


def _git(*args: str, given: bytes = b"") -> str:
    done = subprocess.run(  # noqa: S603 - ours
        [GIT, *args], input=given, env=_ENVIRON, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


@contextlib.contextmanager
def running(folder: Path, *, tls: bool = False, host: str = "127.0.0.1") -> Iterator[GitSite]:
    """Run a server, at an address of this machine, until the context ends."""
    (folder / "repositories").mkdir(parents=True)
    site = GitSite(folder / "repositories")
    context = None
    if tls:
        authority = Authority(folder)
        pair = authority.issue("site", "/CN=site", hosts=["DNS:localhost", f"IP:{host}"])
        site.authority = authority.ca().certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
    with loops.serving(site.serve, context, limit=1 << 20, host=host) as port:
        site.url = f"{'https' if tls else 'http'}://{host}:{port}"
        yield site
