"""A mock of the Hugging Face Hub, which cannot be had on a test machine.

It speaks as much of the API as `huggingface_hub` asks for when it downloads a model: tried with
version 2.4.0 of that, whose `snapshot_download` brings the same files from here.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import unquote

from aiohttp import web

from cluster.certificates import Pair
from support.mocks import serving

_LARGE = 1000  # bytes from which a file lies elsewhere, as with LFS


@dataclass
class FakeHub:
    """Models by name and revision; `token` guards those that are private."""

    url: str = ""
    elsewhere: str = ""
    token: str = "hf_good"  # noqa: S105 - of nothing
    models: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    gated: set[str] = field(default_factory=set)
    ranges: list[str] = field(default_factory=list)
    ignores_ranges: bool = False

    def commit(self, name: str, revision: str) -> str:
        """Name what a revision is now."""
        files = self.models[name].get(revision)
        if files is None:
            return revision if revision in self._commits(name) else ""
        return _sum(repr(sorted((path, _sum(body)) for path, body in files.items())).encode())[:40]

    def _commits(self, name: str) -> dict[str, dict[str, bytes]]:
        return {self.commit(name, each): files for each, files in self.models[name].items()}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        parts = [unquote(part) for part in request.raw_path.partition("?")[0].split("/")[1:]]
        if parts[:2] == ["api", "models"]:
            name = "/".join(parts[2:4])
            return self._refusal(request, name) or self._told(name, parts[4], parts[5])
        name, kind, commit, path = "/".join(parts[:2]), parts[2], parts[3], "/".join(parts[4:])
        assert kind == "resolve"
        return self._refusal(request, name) or self._file(request, name, commit, path)

    async def bring(self, request: web.Request) -> web.StreamResponse:
        """Answer as the place of large files does: no token comes here."""
        assert "Authorization" not in request.headers
        wanted = request.path.removeprefix("/")
        every = [files for revisions in self.models.values() for files in revisions.values()]
        found = next(body for files in every for body in files.values() if _sum(body) == wanted)
        return self._body(request, found)

    def _refusal(self, request: web.Request, name: str) -> web.Response | None:
        said = request.headers.get("Authorization", "")
        if said and said != f"Bearer {self.token}":
            text = "Invalid credentials in Authorization header"
            return web.json_response({"error": text}, status=401)
        if name not in self.models or (name in self.private and not said):
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            return web.Response(status=404 if said else 401, headers=headers)
        if name in self.gated and not said:
            text = f"Access to model {name} is restricted. You must be authenticated to access it."
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": text}
            return web.Response(status=401, headers=headers)
        return None

    def _told(self, name: str, what: str, revision: str) -> web.Response:
        commit = self.commit(name, revision)
        if not commit:
            text = f"Invalid rev id: {revision}"
            headers = {"X-Error-Code": "RevisionNotFound", "X-Error-Message": text}
            return web.json_response({"error": text}, status=404, headers=headers)
        files = self._commits(name)[commit].items()
        if what == "tree":
            return web.json_response([_leaf(path, body) for path, body in files])
        rows = [_row(path, body) for path, body in files]
        return web.json_response({"id": name, "sha": commit, "siblings": rows})

    def _file(self, request: web.Request, name: str, commit: str, path: str) -> web.StreamResponse:
        body = self._commits(name)[self.commit(name, commit)][path]
        headers = {"X-Repo-Commit": self.commit(name, commit), "ETag": f'"{_sum(body)}"'}
        if len(body) < _LARGE:
            return self._body(request, body, headers)
        headers |= {"X-Linked-Size": str(len(body)), "X-Linked-Etag": f'"{_sum(body)}"'}
        headers |= {"Location": f"{self.elsewhere}/{_sum(body)}"}
        return web.Response(status=302, headers=headers)

    def _body(
        self, request: web.Request, body: bytes, headers: dict[str, str] | None = None
    ) -> web.Response:
        wanted = request.headers.get("Range", "")
        self.ranges.append(wanted)
        if not wanted or self.ignores_ranges:
            return web.Response(body=body, headers=headers)
        start, _, end = wanted.removeprefix("bytes=").partition("-")
        part = body[int(start) : int(end) + 1 if end else None]
        shown = {"Content-Range": f"bytes {start}-{int(start) + len(part) - 1}/{len(body)}"}
        return web.Response(body=part, status=206, headers={**(headers or {}), **shown})


@asynccontextmanager
async def hub(tls: Pair | None = None) -> AsyncIterator[FakeHub]:
    """Serve one, and the other server where its large files are."""
    made = FakeHub()
    async with serving(made.answer, tls) as url, serving(made.bring) as elsewhere:
        made.url, made.elsewhere = url, elsewhere
        yield made


def _row(path: str, body: bytes) -> dict[str, object]:
    row: dict[str, object] = {"rfilename": path, "size": len(body), "blobId": _sum(body)[:40]}
    if len(body) >= _LARGE:
        row["lfs"] = {"sha256": _sum(body), "size": len(body), "pointerSize": 134}
    return row


def _leaf(path: str, body: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(body), "oid": _sum(body)[:40]}


@cache
def _sum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
