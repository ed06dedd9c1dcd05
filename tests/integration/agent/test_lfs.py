"""Repositories whose large files are in Git LFS: a small server of it beside git's own."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from support import gitsites
from support.fetches import Terms, fetch
from support.gitsites import LINK, Fault, GitSite

LARGE = hashlib.shake_256(b"seed").digest(17_000_000)  # more than one range


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GitSite]:
    with gitsites.running(tmp_path / "site") as running:
        yield running


async def test_what_git_points_at_is_brought(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    large, small = site.point(LARGE), site.point(b"small")
    files = {"a/model.bin": large, "b.bin": large, "c": small, "d": b"d", "now": (LINK, "c")}
    site.commit("m.git", files)
    site.login = "git:right"
    known = Credentials((Holder("Secret ns/git", {"GIT_PASSWORD": "right"}, {}),))
    found = await fetch(uri, tmp_path / "work", known)
    expected = {"a/model.bin": LARGE, "b.bin": LARGE, "c": b"small", "d": b"d", "now": b"small"}
    assert found == expected
    assert [each.name for each in (tmp_path / "work").iterdir() if each.is_dir()] == ["tree"]


async def test_a_link_on_the_same_host_is_asked_with_its_own_header(
    site: GitSite, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": site.point(b"1")})
    site.login, site.large_host = "git:right", "127.0.0.1"
    known = Credentials((Holder("Secret ns/git", {"GIT_PASSWORD": "right"}, {}),))
    assert await fetch(uri, tmp_path / "work", known) == {"a": b"1"}


async def test_many_are_asked_for_in_parts(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    files = {f"{index}": b"%d" % index for index in range(120)}
    site.commit("m.git", {path: site.point(body) for path, body in files.items()})
    assert await fetch(uri, tmp_path / "work") == files
    assert sum("/batch" in each.target for each in site.asked) == 2


async def test_a_digest_is_that_of_what_came(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": site.point(b"1")})
    listed = hashlib.sha256(f"{hashlib.sha256(b'1').hexdigest()}  a\n".encode()).hexdigest()
    terms = Terms(digest=f"sha256:{listed}")
    assert await fetch(uri, tmp_path / "work", terms=terms) == {"a": b"1"}


async def test_a_broken_download_goes_on_where_it_stopped(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": site.point(LARGE)})
    site.large_faults += [Fault(100_000, "close")] * 99
    with pytest.raises(
        FetchError, match=r"the download failed: .*\('a' is only a point"
    ) as caught:
        await fetch(uri, tmp_path / "work")
    assert (caught.value.kind, caught.value.reason) == (Kind.TRANSIENT, "DownloadFailed")
    site.large_faults.clear()
    assert await fetch_again(site, uri, tmp_path / "work") == {"a": LARGE}


async def test_a_download_that_was_killed_goes_on(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": site.point(LARGE)})
    site.large_faults += [Fault(5_000_000, "hang")]
    with pytest.raises(
        FetchError, match=r"no byte for 2 s; \d{7} bytes|no byte for 2 s; \d{7} of"
    ):
        await fetch(uri, tmp_path / "work", terms=Terms(limits=Limits(stall_seconds=2)))
    assert await fetch_again(site, uri, tmp_path / "work") == {"a": LARGE}


async def fetch_again(site: GitSite, uri: str, work: Path) -> dict[str, bytes]:
    """Fetch; git's pack must not come again, nor what is there of the large file."""
    site.asked.clear()
    found = await fetch(uri, work)
    large = [each for each in site.asked if "/large/" in each.target]
    assert site.packs == 0
    assert [each.headers["range"].startswith("bytes=0-") for each in large] == [False]
    return found


async def test_damaged_bytes_are_not_taken(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": site.point(b"right")})
    site.large[hashlib.sha256(b"right").hexdigest()] = b"wrong"
    with pytest.raises(FetchError, match="download failed: expected OID") as caught:
        await fetch(uri, tmp_path / "work")
    assert caught.value.kind is Kind.TRANSIENT
    site.large[hashlib.sha256(b"right").hexdigest()] = b"right"
    assert await fetch(uri, tmp_path / "work") == {"a": b"right"}


async def test_what_is_not_there_is_named(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"m/a": site.point(b"1")})
    site.large.clear()
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path / "work")
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "ModelNotFound")
    assert caught.value.message == (
        f"{uri}: the server has not what was asked for: Object does not exist: "
        "[404] Object does not exist ('m/a' is only a pointer to Git LFS)"
    )


async def test_what_a_repository_says_of_git_lfs_does_not_count(
    site: GitSite, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    config = b"[lfs]\nurl = http://127.0.0.1:1/\nfetchexclude = *\nskipdownloaderrors = true\n"
    site.commit("m.git", {".lfsconfig": config, "a": site.point(b"1")})
    assert await fetch(uri, tmp_path / "work") == {".lfsconfig": config, "a": b"1"}


async def test_a_machine_without_git_lfs_says_so(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": site.point(b"1")})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(gitsites.GIT)
    known = Credentials(environ={"PATH": str(tmp_path / "bin")})
    with pytest.raises(FetchError, match="the program git-lfs is not installed here") as caught:
        await fetch(uri, tmp_path / "work", known)
    assert caught.value.message.startswith(f"{uri}: 'a' is only a pointer to Git LFS")


@pytest.mark.parametrize(
    ("room", "size", "message"),
    [
        pytest.param(10_000_000, 1 << 40, "Git LFS, and there is room for", id="room"),
        pytest.param(1 << 30, 10_000_000, "fetchMaxSize", id="limit"),
    ],
)
async def test_too_much_is_refused_before_it_comes(
    site: GitSite, room: int, size: int, message: str, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": site.point(LARGE)})
    with pytest.raises(FetchError, match=message):
        await fetch(uri, tmp_path / "work", room=room, terms=Terms(limits=Limits(size=size)))
    assert not any("/large/" in each.target for each in site.asked)
