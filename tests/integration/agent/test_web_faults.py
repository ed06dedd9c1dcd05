"""What a download does with a web server that misbehaves, plain and over TLS."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from support import faultysites
from support.faultysites import Answer, Site, broken, old, silent, slow, status, whole
from support.fetches import Terms, fetch

SMALL = b"a model's bytes" * 100
LARGE = hashlib.shake_256(b"seed").digest(40 * 1024 * 1024 + 7)
HASTY = Limits(stall_seconds=4)
SIGNED = "?signature=hidden"


@pytest.fixture(scope="module", params=["http", "https"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with faultysites.running(folder, tls=request.param == "https") as running:
        yield running


@pytest.fixture
def terms(site: Site) -> Terms:
    return Terms(limits=HASTY, authority=site.authority)


class Told(NamedTuple):
    """How a failure is told."""

    kind: Kind
    reason: str
    said: str


DOWN = Told(Kind.TRANSIENT, "StorageUnavailable", "127.0.0.1 answered 503 Busy for {url}$")
STOPPED = "{url}: the download stopped after "


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(status("503 Busy"), DOWN, id="503"),
        pytest.param(
            status("403 Forbidden"),
            Told(
                Kind.PERMANENT,
                "CredentialsRefused",
                "^no credentials: 127.0.0.1 refused {url}: 403 Forbidden$",
            ),
            id="403",
        ),
        pytest.param(
            status("404 Not Found"),
            Told(Kind.PERMANENT, "ModelNotFound", "answered 404"),
            id="404",
        ),
        pytest.param(
            broken(SMALL, 900, "close"),
            Told(Kind.TRANSIENT, "DownloadFailed", STOPPED),
            id="truncated",
        ),
        pytest.param(
            broken(SMALL, 900, "reset"),
            Told(Kind.TRANSIENT, "DownloadFailed", STOPPED),
            id="reset",
        ),
        pytest.param(
            broken(SMALL, 900, "hang"),
            Told(
                Kind.TRANSIENT,
                "DownloadFailed",
                "{url}: no byte for 4 s; 0 of 1500 bytes came in this try",
            ),
            id="hang",
        ),
        pytest.param(
            broken(SMALL, 1500, "close", announced=1600),
            Told(Kind.TRANSIENT, "DownloadFailed", STOPPED),
            id="less than announced",
        ),
        pytest.param(
            broken(b"", 0, "close", announced=10),
            Told(Kind.TRANSIENT, "DownloadFailed", STOPPED),
            id="nothing",
        ),
        pytest.param(
            whole(SMALL, Content_Encoding="br"),
            Told(
                Kind.PERMANENT,
                "InvalidArtifact",
                "is sent br-encoded, though it was asked for as it is",
            ),
            id="brotli",
        ),
        pytest.param(
            whole(SMALL, Content_Encoding="gzip"),
            Told(Kind.PERMANENT, "InvalidArtifact", "is said to be gzip-encoded, and is not"),
            id="no gzip",
        ),
        pytest.param(
            whole(gzip.compress(SMALL)[:-9], Content_Encoding="gzip"),
            Told(Kind.TRANSIENT, "DownloadFailed", "ends too early"),
            id="half a gzip",
        ),
        pytest.param(
            status("302 Found", Location="file:///etc/passwd"),
            Told(
                Kind.PERMANENT,
                "StorageUnavailable",
                "redirected from https?:// to file://, refused",
            ),
            id="redirect to a file",
        ),
        pytest.param(
            broken(LARGE, 30_000_000, "reset", etag=""),
            Told(Kind.TRANSIENT, "DownloadFailed", STOPPED),
            id="a large one reset",
        ),
        pytest.param(
            whole(SMALL, Content_Length="many"),
            Told(Kind.TRANSIENT, "StorageUnavailable", "cannot be reached|stopped"),
            id="a length that is none",
        ),
    ],
)
async def test_a_fault_is_told_as_what_it_is(
    site: Site, terms: Terms, tmp_path: Path, answer: Answer, told: Told
) -> None:
    url = site.plan("/m", answer)
    with pytest.raises(FetchError, match=told.said.format(url=url)) as caught:
        await fetch(url + SIGNED, tmp_path, terms=terms)
    assert (caught.value.kind, caught.value.reason) == told[:2]
    assert "hidden" not in caught.value.message


async def test_a_server_that_says_nothing_is_given_up(
    site: Site, terms: Terms, tmp_path: Path
) -> None:
    url = site.plan("/m", silent)
    with pytest.raises(FetchError, match=f"127.0.0.1 cannot be reached for {url}: timed out"):
        await fetch(url + SIGNED, tmp_path, terms=terms)


async def test_a_redirect_loop_ends(site: Site, terms: Terms, tmp_path: Path) -> None:
    url = site.plan("/loop", status("307 Again", Location="/loop?signature=hidden"))
    with pytest.raises(FetchError, match="redirected more than 10 times") as caught:
        await fetch(url, tmp_path, terms=terms)
    assert (caught.value.reason, len(site.seen("/loop")) % 11) == ("StorageUnavailable", 0)
    assert "hidden" not in caught.value.message


async def test_what_fails_once_succeeds_at_the_next_try(
    site: Site, terms: Terms, tmp_path: Path
) -> None:
    url = site.plan("/m", status("503 Busy"), whole(SMALL))
    with pytest.raises(FetchError, match="503"):
        await fetch(url, tmp_path, terms=terms)
    assert await fetch(url, tmp_path, terms=terms) == {"m": SMALL}


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        pytest.param(slow(SMALL, 12, 0.2), SMALL, id="slow, but never silent"),
        pytest.param(old(SMALL), SMALL, id="HTTP/1.0 without a length"),
        pytest.param(whole(SMALL, etag=""), SMALL, id="no tag"),
        pytest.param(whole(b""), b"", id="empty"),
        pytest.param(whole(LARGE), LARGE, id="large, in ranges"),
        pytest.param(whole(LARGE, etag=""), LARGE, id="large, in one"),
        pytest.param(whole(gzip.compress(SMALL), Content_Encoding="gzip"), SMALL, id="gzipped"),
        pytest.param(
            whole(gzip.compress(SMALL) + gzip.compress(SMALL), Content_Encoding="gzip"),
            SMALL * 2,
            id="gzipped twice over",
        ),
    ],
)
async def test_odd_but_whole_is_fine(
    site: Site, terms: Terms, tmp_path: Path, answer: Answer, content: bytes
) -> None:
    assert await fetch(site.plan("/m", answer), tmp_path, terms=terms) == {"m": content}


def tarred() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as opened:
        info = tarfile.TarInfo("a/b")
        info.size = 1
        opened.addfile(info, io.BytesIO(b"x"))
    return sink.getvalue()


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as opened:
        opened.writestr("a/b", b"x")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("path", "make", "headers"),
    [
        pytest.param(
            "/m.tar.gz",
            tarred,
            {"Content_Type": "application/x-tar", "Content_Encoding": "gzip"},
            id="a .tar.gz that is said to be an encoded tar",
        ),
        pytest.param("/m", tarred, {"Content_Type": "application/gzip"}, id="by type"),
        pytest.param("/m.tgz", tarred, {"Content_Type": "binary/octet-stream"}, id="by name"),
        pytest.param(
            "/m.zip",
            lambda: gzip.compress(zipped()),
            {"Content_Encoding": "gzip"},
            id="a zip that was gzipped on the way",
        ),
    ],
)
async def test_an_archive_is_unpacked_however_it_is_announced(
    site: Site,
    terms: Terms,
    tmp_path: Path,
    path: str,
    make: Callable[[], bytes],
    headers: dict[str, str],
) -> None:
    url = site.plan(path, whole(make(), **headers))
    assert await fetch(url, tmp_path, terms=terms) == {"a/b": b"x"}


async def test_a_promised_digest_is_held_to(site: Site, terms: Terms, tmp_path: Path) -> None:
    url = site.plan("/m.tgz", whole(tarred()))
    good = f"sha256:{hashlib.sha256(tarred()).hexdigest()}"
    assert await fetch(url, tmp_path / "1", terms=replace(terms, digest=good)) == {"a/b": b"x"}
    wrong = f"sha256:{'0' * 64}"
    with pytest.raises(FetchError, match=r"0{64} was promised") as caught:
        await fetch(url, tmp_path / "2", terms=replace(terms, digest=wrong))
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "DigestMismatch")
    assert not (tmp_path / "2" / "tree").exists()


async def test_a_strangers_certificate_is_not_trusted(site: Site, tmp_path: Path) -> None:
    url = site.plan("/m", whole(SMALL))
    if site.authority is None:
        assert await fetch(url, tmp_path) == {"m": SMALL}
        return
    with pytest.raises(FetchError, match="its TLS certificate is not trusted") as caught:
        await fetch(url, tmp_path)
    assert (caught.value.kind, caught.value.reason) == (Kind.TRANSIENT, "StorageUnavailable")


async def test_headers_and_users_stay_with_their_host(
    site: Site, terms: Terms, tmp_path: Path
) -> None:
    stranger = site.url.replace("127.0.0.1", "localhost")
    site.plan("/there", whole(SMALL))
    url = site.plan("/m", status("302 Found", Location=f"{stranger}/there?signature=hidden"))
    known = Credentials(environ={"127.0.0.1-headers": '{"X-Key": "k", "Authorization": "a"}'})
    before = len(site.asked)
    with_user = url.replace("://", "://user:password@")
    assert await fetch(with_user, tmp_path / "1", known, terms=terms) == {"m": SMALL}
    assert await fetch(with_user, tmp_path / "2", terms=terms) == {"m": SMALL}
    first, away, second, away_again = (asked.headers for asked in site.asked[before:])
    assert (first["x-key"], first["authorization"]) == ("k", "a")
    assert second["authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
    for headers in (away, away_again):
        assert headers.keys().isdisjoint({"x-key", "authorization"})


async def test_limits_are_named(site: Site, terms: Terms, tmp_path: Path) -> None:
    url = site.plan("/m", whole(SMALL))
    small = replace(terms, limits=Limits(size=1000))
    with pytest.raises(FetchError, match=r"1500 bytes, more than 1000 \(fetchMaxSize\)"):
        await fetch(url, tmp_path, terms=small)
    site.plan("/m", slow(SMALL, 1000, 0.01))
    brief = replace(terms, limits=Limits(seconds=0.5))
    with pytest.raises(FetchError, match=r"not done after 0.5 s") as caught:
        await fetch(url, tmp_path, terms=brief)
    assert caught.value.kind is Kind.TRANSIENT
