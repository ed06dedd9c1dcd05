"""A fake of Azure's file shares, which cannot be had on a test machine; Azurite has none.

It follows the published REST documentation of the three requests that a download needs. The
official library for Python, azure-storage-file-share 12.27.1, was seen to list and read from it,
with a key and with a signature. It is no proof of what Azure does.
"""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from aiohttp import web

from support.mocks import serving

ACCOUNT = "shoal"
KEY = base64.b64encode(b"a key").decode()
SAS = "sv=2022-11-02&sr=s&sp=rl&sig=c2ln"
TOKEN = "a token"  # noqa: S105 - of nothing
SHARE = "models"


@dataclass
class FakeShares:
    """One share; `files` by their paths. A page of a listing has `page` entries."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    page: int = 2
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    replaced: dict[str, bytes] = field(default_factory=dict)  # once something was read

    def secret(self, **more: str) -> dict[str, str]:
        """Make a Secret's data, with what is given to log in with."""
        return {"AZURE_STORAGE_FILE_ENDPOINT": self.url} | more

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        path = unquote(request.raw_path.partition("?")[0]).strip("/")
        share, _, key = path.partition("/")
        self.asked.append(f"{request.method} {key} {request.query.get('marker', '')}".strip())
        if not self._may(request):
            return _refusal(request, 403, "AuthenticationFailed", "Server failed to authenticate")
        if share != SHARE:
            return _refusal(request, 404, "ShareNotFound", "The share does not exist.")
        if request.query.get("comp") == "list":
            return self._list(request, key)
        return self._file(request, key)

    def _may(self, request: web.Request) -> bool:
        told = request.headers.get("Authorization", "")
        assert request.headers["x-ms-version"] >= "2022-11-02"
        if told.startswith("Bearer "):
            assert request.headers["x-ms-file-request-intent"] == "backup"
            return told == f"Bearer {TOKEN}"
        if told:
            return told == f"SharedKey {ACCOUNT}:{_signature(request)}"
        return request.query.get("sig") == "c2ln"

    def _list(self, request: web.Request, folder: str) -> web.Response:
        start = f"{folder}/" if folder else ""
        below = [path.removeprefix(start) for path in self.files if path.startswith(start)]
        below += [
            f"{path.removeprefix(start)}/" for path in self.folders if path.startswith(start)
        ]
        names = sorted({name.partition("/")[0] + "/" * ("/" in name) for name in below})
        if not names and folder and folder not in self.folders:
            return _refusal(request, 404, "ResourceNotFound", "The resource does not exist.")
        at = int(request.query.get("marker", "0"))
        rows = "".join(self._row(start, name) for name in names[at : at + self.page])
        after = str(at + self.page) if at + self.page < len(names) else ""
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ShareName="{SHARE}">'
            f"<Entries>{rows}</Entries><NextMarker>{after}</NextMarker></EnumerationResults>"
        )
        return web.Response(body=b"\xef\xbb\xbf" + text.encode(), content_type="application/xml")

    def _row(self, start: str, name: str) -> str:
        is_odd = "\ufffe" in name
        shown = f'<Name Encoded="true">{quote(name)}</Name>' if is_odd else _name(name)
        if name.endswith("/"):
            return f"<Directory>{shown}<Properties/></Directory>"
        body = self.files[f"{start}{name}"]
        told = f"<Content-Length>{len(body)}</Content-Length><Etag>{escape(_etag(body))}</Etag>"
        return f"<File>{shown}<Properties>{told}</Properties></File>"

    def _file(self, request: web.Request, key: str) -> web.Response:
        if key not in self.files:
            return _refusal(request, 404, "ResourceNotFound", "The resource does not exist.")
        body = self.files[key]
        headers = {"ETag": _etag(body)}
        if request.method == "HEAD":
            return web.Response(headers=headers | {"Content-Length": str(len(body))})
        wanted = request.headers.get("x-ms-range", "")
        self.ranges.append(wanted)
        self.files |= self.replaced
        if not wanted:
            return web.Response(body=body, headers=headers)
        start, end = map(int, wanted.removeprefix("bytes=").split("-"))
        last = min(end, len(body) - 1)
        headers["Content-Range"] = f"bytes {start}-{last}/{len(body)}"
        return web.Response(status=206, body=body[start : end + 1], headers=headers)


def _name(name: str) -> str:
    return f"<Name>{escape(name.rstrip('/'))}</Name>"


def _etag(body: bytes) -> str:
    return f'"0x{hashlib.sha256(body).hexdigest()[:15].upper()}"'


def _signature(request: web.Request) -> str:
    """Sign as the page "Authorize with Shared Key" says."""
    standard = (
        "content-encoding content-language content-length content-md5 content-type date "
        "if-modified-since if-match if-none-match if-unmodified-since range"
    )
    rows = [request.method]
    for name in standard.split():
        value = request.headers.get(name, "")
        rows.append("" if name == "content-length" and value == "0" else value)
    own = {name.lower(): value for name, value in request.headers.items()}
    rows += [f"{name}:{own[name].strip()}" for name in sorted(own) if name.startswith("x-ms-")]
    rows.append(f"/{ACCOUNT}{request.raw_path.partition('?')[0]}")
    rows += [f"{name.lower()}:{request.query[name]}" for name in sorted(request.query)]
    digest = hmac.new(base64.b64decode(KEY), "\n".join(rows).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _refusal(request: web.Request, status: int, code: str, message: str) -> web.Response:
    headers = {"x-ms-error-code": code}
    if request.method == "HEAD":
        return web.Response(status=status, headers=headers)
    text = f"<Error><Code>{code}</Code><Message>{message}\nRequestId:1</Message></Error>"
    return web.Response(status=status, headers=headers, text=text)


@asynccontextmanager
async def shares() -> AsyncIterator[FakeShares]:
    """Serve a share until the context ends."""
    made = FakeShares()
    async with serving(made.answer) as url:
        made.url = url
        yield made
