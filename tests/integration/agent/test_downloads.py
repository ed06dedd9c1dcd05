"""Downloads from a real bucket and a real, ill-behaved web server; no agent around them."""

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from shoal.storage import transfers
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.jobs import Terms
from shoal.storage.sessions import Sessions
from shoal.storage.transfers import Source
from support.agentrigs import ACCESS_KEY, SECRET_KEY, Bucket

ROOM = 1 << 30
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def opened(uri: str, known: Credentials) -> AsyncIterator[Source]:
    async with (
        Sessions() as sessions,
        transfers.opened(transfers.parse(uri), known, sessions, Terms()) as source,
    ):
        yield source


async def fetch(
    uri: str, work: Path, known: Credentials | None = None, room: int = ROOM
) -> dict[str, bytes]:
    """Download an address; return what came of it."""
    async with opened(uri, known or Credentials()) as source:
        await source.download(work, room, lambda _: None)
    tree = work / transfers.TREE
    found = (path for path in tree.rglob("*") if path.is_file())
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in found}


async def fingerprint(uri: str, known: Credentials) -> str:
    async with opened(uri, known) as source:
        return source.fingerprint


@pytest.fixture
def known(bucket: Bucket) -> Credentials:
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    return Credentials(environ=keys | {"AWS_ENDPOINT_URL": bucket.endpoint})


@pytest.mark.weakness("M17")
async def test_a_folder_brings_its_files_and_no_neighbours(
    bucket: Bucket, known: Credentials, tmp_path: Path
) -> None:
    for key in ("model/a", "model/1/b", "model2/c", "model.txt"):
        bucket.put(key, key.encode())
    wanted = {"a": b"model/a", "1/b": b"model/1/b"}
    assert await fetch("s3://models/model", tmp_path / "one", known) == wanted
    assert await fetch("s3://models/model/", tmp_path / "two", known) == wanted


@pytest.mark.weakness("M17")
async def test_one_object_keeps_its_name(
    bucket: Bucket, known: Credentials, tmp_path: Path
) -> None:
    bucket.put("deep/down/model.pkl", b"x")
    assert await fetch("s3://models/deep/down/model.pkl", tmp_path, known) == {"model.pkl": b"x"}


async def test_an_archive_in_a_bucket_is_unpacked(
    bucket: Bucket, known: Credentials, tmp_path: Path
) -> None:
    bucket.put("m.zip", archive())
    assert await fetch("s3://models/m.zip", tmp_path, known) == {"a/b": b"x"}


async def test_many_parts_and_empty_files_are_whole(
    bucket: Bucket, known: Credentials, tmp_path: Path
) -> None:
    content = hashlib.shake_256(b"seed").digest(9 * 1024 * 1024 + 17)
    folder = bucket.process.log.parent / "data" / "models" / "big"
    folder.mkdir()
    (folder / "large").write_bytes(content)
    (folder / "empty").write_bytes(b"")
    assert await fetch("s3://models/big", tmp_path, known) == {"large": content, "empty": b""}


async def test_a_changed_object_changes_the_fingerprint(
    bucket: Bucket, known: Credentials
) -> None:
    bucket.put("m/a", b"one")
    first = await fingerprint("s3://models/m", known)
    assert await fingerprint("s3://models/m", known) == first
    bucket.put("m/a", b"other")
    assert await fingerprint("s3://models/m", known) != first


async def test_a_missing_bucket_is_named(known: Credentials, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="NoSuchBucket") as caught:
        await fetch("s3://nowhere/m", tmp_path, known)
    assert caught.value.reason == "ModelNotFound"


def archive() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as opened:
        opened.writestr("a/b", b"x")
    return sink.getvalue()


@dataclass
class Web:
    """A web server whose answers each test chooses."""

    url: str
    handlers: dict[str, Handler]


@pytest.fixture
async def site() -> AsyncIterator[Web]:
    handlers: dict[str, Handler] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        return await handlers[request.path](request)

    application = web.Application()
    application.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Web(f"http://127.0.0.1:{runner.addresses[0][1]}", handlers)
    await runner.cleanup()


async def test_a_link_is_saved_under_its_name(site: Web, tmp_path: Path) -> None:
    async def file(_: web.Request) -> web.Response:
        return web.Response(body=b"x")

    site.handlers["/a/m.pkl"] = file
    assert await fetch(f"{site.url}/a/m.pkl?signature=s", tmp_path) == {"m.pkl": b"x"}


async def test_a_zip_behind_a_link_is_unpacked_by_its_type(site: Web, tmp_path: Path) -> None:
    async def file(_: web.Request) -> web.Response:
        return web.Response(body=archive(), content_type="application/zip")

    site.handlers["/m"] = file
    assert await fetch(f"{site.url}/m", tmp_path) == {"a/b": b"x"}


@pytest.mark.weakness("M17")
async def test_a_cut_body_is_found_out(site: Web, tmp_path: Path) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    site.handlers["/m"] = cut
    with pytest.raises(FetchError, match="stopped after") as caught:
        await fetch(f"{site.url}/m?signature=hidden", tmp_path)
    assert (caught.value.kind, caught.value.reason) == (Kind.TRANSIENT, "DownloadFailed")
    assert "hidden" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        pytest.param(401, Kind.PERMANENT, "CredentialsRefused", id="401"),
        pytest.param(403, Kind.PERMANENT, "CredentialsRefused", id="403"),
        pytest.param(404, Kind.PERMANENT, "ModelNotFound", id="404"),
        pytest.param(429, Kind.TRANSIENT, "StorageUnavailable", id="429"),
        pytest.param(503, Kind.TRANSIENT, "StorageUnavailable", id="503"),
    ],
)
async def test_a_refusal_is_classified(
    site: Web, tmp_path: Path, status: int, kind: Kind, reason: str
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    site.handlers["/m"] = refuse
    with pytest.raises(FetchError, match=str(status)) as caught:
        await fetch(f"{site.url}/m?signature=hidden", tmp_path)
    assert (caught.value.kind, caught.value.reason) == (kind, reason)
    assert "hidden" not in caught.value.message


async def test_headers_come_from_the_secret(site: Web, tmp_path: Path) -> None:
    async def guarded(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers.get("X-Key") == "k" else 401)

    site.handlers["/m"] = guarded
    known = Credentials(environ={"127.0.0.1-headers": '{"X-Key": "k"}'})
    assert await fetch(f"{site.url}/m", tmp_path, known) == {"m": b""}


async def test_more_than_there_is_room_for_is_refused(site: Web, tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(5):
            await response.write(b"x" * 1000)
        return response

    site.handlers["/m"] = endless
    with pytest.raises(
        FetchError, match="more than the 3000 bytes that there is room for"
    ) as caught:
        await fetch(f"{site.url}/m", tmp_path, room=3000)
    assert caught.value.reason == "StoreFull"


async def test_google_is_asked_at_an_emulator_without_a_key(site: Web, tmp_path: Path) -> None:
    async def listing(request: web.Request) -> web.Response:
        name = request.query.get("prefix", "")
        xml = (
            "<ListBucketResult><Contents><Key>dir/a</Key><Size>1</Size>"
            "<LastModified>2030-01-01T00:00:00Z</LastModified><ETag>e</ETag></Contents>"
            "</ListBucketResult>"
        )
        return web.Response(text=xml if name == "dir/" else "", content_type="application/xml")

    async def missing(_: web.Request) -> web.Response:
        return web.Response(status=404)

    async def content(_: web.Request) -> web.Response:
        headers = {"ETag": "e", "Last-Modified": "Tue, 01 Jan 2030 00:00:00 GMT"}
        return web.Response(body=b"g", headers=headers)

    site.handlers |= {"/bkt": listing, "/bkt/": listing, "/bkt/dir": missing}
    site.handlers["/bkt/dir/a"] = content
    known = Credentials(environ={"STORAGE_EMULATOR_HOST": site.url})
    assert await fetch("gs://bkt/dir", tmp_path, known) == {"a": b"g"}
