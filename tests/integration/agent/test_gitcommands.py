"""Git as a child process: servers and repositories that are not as they should be, and its end."""

import asyncio
import contextlib
import ctypes
import hashlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import shoal
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from support import faultysites, gitsites
from support.agentrigs import until
from support.faultysites import Site, silent, status, whole
from support.fetches import Terms, fetch
from support.gitsites import FILE, FOLDER, LINK, Fault, GitSite

LARGE = hashlib.shake_256(b"seed").digest(5_000_000)
HASTY = Limits(stall_seconds=4)
KNOWN = Credentials((Holder("Secret ns/git", {"GIT_PASSWORD": "topsecret"}, {}),))
CHILD_SUBREAPER = 36  # prctl: what a process of a container's own number 1 is by itself


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GitSite]:
    with gitsites.running(tmp_path / "site") as running:
        yield running


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[GitSite]:
    with gitsites.running(tmp_path / "site", tls=True) as running:
        yield running


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Site]:
    with faultysites.running(tmp_path / "other") as running:
        yield running


async def test_passwords_stay_with_their_host(site: GitSite, other: Site, tmp_path: Path) -> None:
    site.make("m.git")
    site.commit("m.git", {"a": b"1"})
    uri = other.url.replace("127.0.0.1", "localhost") + "/m.git"
    to = f"{site.url}/m.git/info/refs?service=git-upload-pack"
    other.plan("/m.git/info/refs", status("302 Found", Location=to))
    assert await fetch(uri, tmp_path / "work", KNOWN) == {"a": b"1"}
    assert "authorization" in other.asked[0].headers
    assert {each.headers.get("authorization") for each in site.asked} == {None}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(Fault(100_000, "reset"), "the download failed: RPC failed", id="reset"),
        pytest.param(Fault(100_000, "close"), "the download failed: ", id="close"),
        pytest.param(Fault(100_000, "hang"), "no byte for 4 s", id="stall"),
    ],
)
async def test_a_broken_download_is_whole_at_the_next_try(
    site: GitSite, fault: Fault, message: str, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": LARGE})
    site.faults.append(fault)
    with pytest.raises(FetchError, match=message) as caught:
        await fetch(uri, tmp_path / "work", terms=Terms(limits=HASTY))
    assert (caught.value.kind, caught.value.reason) == (Kind.TRANSIENT, "DownloadFailed")
    assert await fetch(uri, tmp_path / "work") == {"a": LARGE}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(silent, "cannot be reached for .*: timed out", id="silent"),
        pytest.param(status("503 Busy"), "answered 503 Busy for", id="busy"),
        pytest.param(whole(b"<p>", Content_Type="text/html"), "but with text/html", id="page"),
        pytest.param(
            whole(b"what?", Content_Type="application/x-git-upload-pack-advertisement"),
            "git says: protocol error: bad line",
            id="other words",
        ),
        pytest.param(
            whole(
                b"001aERR please come later\n",
                Content_Type="application/x-git-upload-pack-advertisement",
            ),
            "git says: please come later",
            id="refusal",
        ),
    ],
)
async def test_a_server_that_answers_otherwise(
    other: Site, answer: faultysites.Answer, message: str, tmp_path: Path
) -> None:
    other.plan("/m.git/info/refs", answer)
    with pytest.raises(FetchError, match=message):
        await fetch(f"{other.url}/m.git", tmp_path / "work", terms=Terms(limits=HASTY))


async def test_an_authority_of_ones_own_is_trusted(safe: GitSite, tmp_path: Path) -> None:
    uri = safe.make("m.git")
    safe.commit("m.git", {"a": b"1", "b": safe.point(b"2")})
    with pytest.raises(FetchError, match=r"certificate is not trusted.*caBundleConfigMapName"):
        await fetch(uri, tmp_path / "work")
    assert safe.authority
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "cabundle.crt").write_text(safe.authority.read_text())
    environ = {"CA_BUNDLE_VOLUME_MOUNT_POINT": str(folder), "CA_BUNDLE_CONFIGMAP_NAME": "c"}
    found = await fetch(uri, tmp_path / "work", Credentials(environ=environ))
    assert found == {"a": b"1", "b": b"2"}


def test_an_agent_that_fetches_no_repository_knows_nothing_of_git() -> None:
    program = (
        "import sys, shoal.agent.processes, shoal.agent.commands\n"
        "sys.exit(any(name.startswith('shoal.storage.git') for name in sys.modules))"
    )
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(shoal.__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 0


async def test_a_machine_without_git_says_so(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path / "work", Credentials(environ={"PATH": str(tmp_path)}))
    assert (caught.value.kind, caught.value.message) == (
        Kind.PERMANENT,
        f"{uri}: is a git repository, and the program git is not installed here",
    )


@pytest.mark.parametrize(
    "name", [".git", ".GIT", "..", ".", "git~1", "a\\b", "x" * 300, ".\u200cgit"]
)
async def test_a_name_that_leads_elsewhere_is_refused(
    site: GitSite, name: str, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    blob = site.store("m.git", b"1")
    site.publish("m.git", site.list("m.git", (FILE, blob, name)))
    with pytest.raises(
        FetchError, match=r"git refuses the repository: |has a name that is refused"
    ) as caught:
        await fetch(uri, tmp_path / "work")
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "InvalidArtifact")


async def test_nothing_is_written_through_a_link(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    blob = site.store("m.git", b"1")
    link = site.store("m.git", str(tmp_path).encode())
    below = site.list("m.git", (FILE, blob, "stolen"))
    site.publish("m.git", site.list("m.git", (LINK, link, "a"), (FOLDER, below, "a")))
    with pytest.raises(FetchError):
        await fetch(uri, tmp_path / "work")
    assert not (tmp_path / "stolen").exists()


async def test_folders_that_multiply_are_refused(site: GitSite, tmp_path: Path) -> None:
    uri = site.make("m.git")
    below, mode = site.store("m.git", b"1"), FILE
    for _ in range(12):
        below = site.list("m.git", *[(mode, below, f"{index:02}") for index in range(20)])
        mode = FOLDER
    site.publish("m.git", below)
    with pytest.raises(FetchError, match="the repository has more than 100000 entries"):
        await fetch(uri, tmp_path / "work")


@pytest.fixture
def _first_of_a_container() -> Iterator[None]:
    """Be given orphans, as the first process of a container is."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(CHILD_SUBREAPER, 1) == 0
    yield
    assert libc.prctl(CHILD_SUBREAPER, 0) == 0


@pytest.mark.usefixtures("_first_of_a_container")
async def test_a_download_that_is_broken_off_leaves_no_process(
    site: GitSite, tmp_path: Path
) -> None:
    uri = site.make("m.git")
    site.commit("m.git", {"a": LARGE})
    site.login = "git:topsecret"
    site.faults.append(Fault(100_000, "hang"))
    task = asyncio.create_task(fetch(uri, tmp_path / "work", KNOWN))
    begun = await asyncio.to_thread(begun_with, b"index-pack", tmp_path)
    assert not [each for each in begun.values() if b"topsecret" in each or b"Basic" in each]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(existing, begun) == []


def existing(pids: Iterable[int]) -> list[int]:
    """Tell which processes are there, ended or not."""
    return [pid for pid in pids if Path("/proc", str(pid)).exists()]


def begun_with(word: bytes, place: Path) -> dict[int, bytes]:
    """Wait for a process of a download into a folder that has this word; list all of them."""
    until(lambda: any(word in told for told in children(place).values()))
    return children(place)


def children(place: Path) -> dict[int, bytes]:
    """List the processes of downloads into a folder, with their command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            told = (folder / "cmdline").read_bytes() if folder.name.isdigit() else b""
            if told and b"GIT_DIR=" + bytes(place) in (folder / "environ").read_bytes():
                found[int(folder.name)] = told
    return found
