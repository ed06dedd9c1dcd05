"""Several `shoal fetch` on one cache, as the pods of a node run it: at once, killed, changed."""

import fcntl
import hashlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import faultypipes
from support.agentrigs import Bucket, until
from support.faultypipes import Pipe
from support.fetchruns import FetchRun, found

MIB = 1 << 20
LARGE = hashlib.shake_256(b"seed").digest(40 * MIB + 7)
URI = "s3://models/m"
NAME = "the model cache pvc://claim"
WAITING = f" into {NAME}"

Process = subprocess.Popen[str]


@dataclass(frozen=True)
class Pod:
    """One that has a folder of its own, and the cache with the others."""

    fetch: FetchRun

    @property
    def models(self) -> Path:
        return self.fetch.folder / "models"

    def start(self, uri: str = URI) -> Process:
        return self.fetch.start(uri, self.models)

    def bring(self, uri: str = URI) -> str:
        """Fetch to the end; return what was said."""
        return self.end(self.start(uri))

    def end(self, process: Process) -> str:
        done = self.fetch.end(process)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


MakePod = Callable[[str], Pod]


@pytest.fixture
def pipe(bucket: Bucket) -> Iterator[Pipe]:
    with faultypipes.running(bucket.port) as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The volume, as the kubelet mounts it: there, and empty."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def pod(tmp_path: Path, pipe: Pipe, cache: Path) -> MakePod:
    """Makes pods."""
    given = {"SHOAL_MODEL_CACHE": str(cache), "SHOAL_MODEL_CACHE_NAME": "pvc://claim"}
    return lambda name: Pod(FetchRun.make(tmp_path / name, pipe.endpoint, given))


def first_line_with(process: Process, text: str) -> str:
    """Read what it says up to a line with a text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    pytest.fail(f"it never said {text!r}")


@pytest.mark.timeout(120)
def test_many_at_once_fetch_it_once(bucket: Bucket, pipe: Pipe, pod: MakePod, cache: Path) -> None:
    bucket.place("m/weights", LARGE)
    pipe.pace = 0.005
    pods = [pod(f"pod-{number}") for number in range(5)]
    processes = [each.start() for each in pods]
    said = [each.end(process) for each, process in zip(pods, processes, strict=True)]
    assert [found(each.models) for each in pods] == [{"weights": LARGE}] * 5
    assert sum("came in" in text for text in said) == 1
    assert sum(f"is in {NAME} already" in text for text in said) == 4
    assert len(LARGE) <= pipe.carried < len(LARGE) + MIB
    (tree,) = (cache / "trees").iterdir()
    assert {(each.models / "weights").readlink() for each in pods} == {tree / "weights"}


@pytest.mark.timeout(120)
def test_who_is_killed_is_followed_by_another(
    bucket: Bucket, pipe: Pipe, pod: MakePod, cache: Path
) -> None:
    bucket.place("m/weights", LARGE)
    pipe.pace = 0.05
    one, two = pod("one"), pod("two")
    killed = one.start()
    until(lambda: pipe.carried > 16 * MIB)
    pipe.pace = 1  # it is not done before the other looks
    other = two.start()
    assert first_line_with(other, WAITING).endswith(" so far; waiting\n")
    assert not (cache / "trees").exists()
    killed.kill()
    one.fetch.end(killed)
    carried, pipe.pace = pipe.carried, 0
    said = two.end(other)
    assert "came in" in said
    assert found(two.models) == {"weights": LARGE}
    assert pipe.carried - carried < len(LARGE) - 4 * MIB
    assert f"is in {NAME} already" in one.bring()
    assert not list((cache / "partial").rglob("weights"))


@pytest.mark.timeout(60)
def test_who_waits_can_be_ended(bucket: Bucket, pipe: Pipe, pod: MakePod) -> None:
    bucket.place("m/weights", LARGE)
    pipe.pace = 0.5
    one, two = pod("one"), pod("two")
    first = one.start()
    until(lambda: pipe.carried > MIB)
    second = two.start()
    first_line_with(second, WAITING)
    second.send_signal(signal.SIGTERM)
    assert two.fetch.end(second).returncode == 143
    first.kill()
    one.fetch.end(first)


def test_changed_content_disturbs_nobody(bucket: Bucket, pod: MakePod) -> None:
    bucket.put("m/a", b"1")
    bucket.put("m/sub/b", b"2")
    old, new = pod("old"), pod("new")
    old.bring()
    held = (old.models / "sub" / "b").open("rb")
    bucket.put("m/a", b"11")
    bucket.delete("m/sub/b")
    new.bring()
    assert found(new.models) == {"a": b"11"}
    assert ((old.models / "a").read_bytes(), held.read()) == (b"1", b"2")
    held.close()


def test_a_container_that_starts_again_has_what_its_address_has_now(
    bucket: Bucket, pod: MakePod
) -> None:
    bucket.put("m/a", b"1")
    bucket.put("m/sub/b", b"2")
    again = pod("again")
    again.bring()
    bucket.delete("m/sub/b")
    assert "came in" in again.bring()
    assert found(again.models) == {"a": b"1"}
    assert f"is in {NAME} already" in again.bring()


def test_two_addresses_of_the_same_content_share_it(
    bucket: Bucket, pod: MakePod, cache: Path
) -> None:
    bucket.put("m/a", b"1")
    bucket.put("n/a", b"1")
    one, two = pod("one"), pod("two")
    one.bring()
    two.bring("s3://models/n")
    assert len(list((cache / "trees").iterdir())) == 1
    assert (one.models / "a").readlink() == (two.models / "a").readlink()


def test_a_tree_that_lacks_a_file_is_fetched_anew_beside_it(
    bucket: Bucket, pod: MakePod, cache: Path
) -> None:
    bucket.put("m/a", b"1")
    bucket.put("m/b", b"2")
    one, two = pod("one"), pod("two")
    one.bring()
    (tree,) = (cache / "trees").iterdir()
    (tree / "b").unlink()
    assert "came in" in two.bring()
    assert found(two.models) == {"a": b"1", "b": b"2"}
    assert (one.models / "a").read_bytes() == b"1"
    assert f"is in {NAME} already" in one.bring()
    assert found(one.models) == {"a": b"1", "b": b"2"}


@pytest.mark.timeout(60)
def test_what_is_there_needs_no_lock(bucket: Bucket, pod: MakePod, cache: Path) -> None:
    bucket.put("m/a", b"1")
    pod("one").bring()
    (path,) = (cache / "locks").iterdir()
    with path.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        two = pod("two")
        assert f"is in {NAME} already" in two.bring()
    assert found(two.models) == {"a": b"1"}
