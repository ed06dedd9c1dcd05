"""Downloads that broke go on where they stopped; nothing else is believed."""

import gc
import hashlib
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shoal.modelconfig import Model
from shoal.modelstates import State
from shoal.storage import partials
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from support import faultypipes, faultysites
from support.agentrigs import ACCESS_KEY, SECRET_KEY, Bucket, until
from support.faultypipes import Pipe
from support.faultysites import Asked, Site, broken, half_ranges, no_ranges, whole
from support.fetches import Terms, fetch

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name
MIB = 1 << 20
LARGE = hashlib.shake_256(b"seed").digest(40 * MIB + 7)
OTHER = hashlib.shake_256(b"other").digest(40 * MIB + 7)
DIGEST = f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
TERMS = Terms(digest=DIGEST, limits=Limits(stall_seconds=4))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with faultysites.running(tmp_path / "site") as running:
        yield running


@pytest.fixture
def pipe(bucket: Bucket) -> Iterator[Pipe]:
    with faultypipes.running(bucket.port) as running:
        yield running


def test_a_pipe_whose_client_has_gone_is_not_collected() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        faultypipes.running(silent.getsockname()[1]) as pipe,
    ):
        with socket.create_connection(("127.0.0.1", pipe.port)) as client:
            there, _ = silent.accept()
            client.sendall(b"x")
            assert there.recv(1) == b"x"
        time.sleep(0.2)  # it hears that the client has gone, and nothing from the silent server
        gc.collect()
        there.close()


@pytest.fixture
def known(pipe: Pipe) -> Credentials:
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    return Credentials(environ=keys | {"AWS_ENDPOINT_URL": pipe.endpoint})


def bytes_of(asked: list[Asked]) -> int:
    spans = [each.headers["range"].removeprefix("bytes=") for each in asked]
    return sum(int(end) + 1 - int(start) for start, _, end in (s.partition("-") for s in spans))


async def test_a_broken_link_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    good = [whole(LARGE) for _ in range(6)]
    halves = [half_ranges(LARGE, MIB // 2) for _ in range(40)]
    url = site.plan("/m", *good, *halves)
    with pytest.raises(FetchError, match="stopped after") as caught:
        await fetch(url, tmp_path / "work", terms=TERMS)
    assert caught.value.kind is Kind.TRANSIENT
    there = partials.written(tmp_path / "work")
    assert there >= 2 * MIB
    site.plan("/m", whole(LARGE))
    before = len(site.asked)
    assert await fetch(url, tmp_path / "work", terms=TERMS) == {"m": LARGE}
    assert bytes_of(site.asked[before + 1 :]) == len(LARGE) - there


async def test_content_that_changes_between_ranges_is_not_mixed(
    site: Site, tmp_path: Path
) -> None:
    url = site.plan("/m", whole(LARGE), whole(OTHER, etag='"v2"'))
    with pytest.raises(FetchError, match="changed while it was downloaded") as caught:
        await fetch(url, tmp_path, terms=TERMS)
    assert (caught.value.kind, caught.value.reason) == (Kind.TRANSIENT, "DownloadFailed")


@pytest.mark.parametrize("name", ["ETag", "Last_Modified"])
async def test_a_server_without_the_ranges_it_promises_is_read_at_once(
    site: Site, tmp_path: Path, name: str
) -> None:
    url = site.plan("/m", no_ranges(LARGE, **{name: '"v1"'}))
    assert await fetch(url, tmp_path, terms=TERMS) == {"m": LARGE}


async def test_a_weak_tag_joins_nothing(site: Site, tmp_path: Path) -> None:
    url = site.plan("/m", no_ranges(LARGE, ETag='W/"v1"'))
    assert await fetch(url, tmp_path, terms=TERMS) == {"m": LARGE}
    assert len(site.asked) == 1


async def test_without_a_tag_it_begins_anew(site: Site, tmp_path: Path) -> None:
    url = site.plan("/m", broken(OTHER, 9 * MIB, "reset", etag=""), whole(LARGE, etag=""))
    with pytest.raises(FetchError, match="stopped after"):
        await fetch(url, tmp_path, terms=TERMS)
    assert await fetch(url, tmp_path, terms=TERMS) == {"m": LARGE}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param("reset", "cannot be reached for s3://models/big", id="reset"),
        pytest.param("close", "cannot be reached for s3://models/big", id="closed"),
        pytest.param("hang", r"s3://models/big: no byte for 4 s; \d+ of 41943047", id="hung"),
    ],
)
async def test_a_broken_bucket_goes_on_where_it_stopped(
    bucket: Bucket, pipe: Pipe, known: Credentials, tmp_path: Path, fault: str, said: str
) -> None:
    bucket.place("big", LARGE)
    pipe.break_after(fault, 20 * MIB)
    with pytest.raises(FetchError, match=said) as caught:
        await fetch("s3://models/big", tmp_path / "work", known, terms=TERMS)
    assert caught.value.kind is Kind.TRANSIENT
    there = partials.written(tmp_path / "work")
    assert there >= 4 * MIB
    pipe.heal()
    before = pipe.carried
    assert await fetch("s3://models/big", tmp_path / "work", known, terms=TERMS) == {"big": LARGE}
    assert pipe.carried - before < len(LARGE) - there + MIB


async def test_a_busy_bucket_is_asked_again(
    bucket: Bucket, pipe: Pipe, known: Credentials, tmp_path: Path
) -> None:
    bucket.put("m/a", b"x")
    pipe.break_after("busy", 0)
    with pytest.raises(FetchError, match=r"answered 503|cannot be reached") as caught:
        await fetch("s3://models/m", tmp_path / "1", known, terms=TERMS)
    assert (caught.value.kind, caught.value.reason) == (Kind.TRANSIENT, "StorageUnavailable")
    pipe.heal()
    assert await fetch("s3://models/m", tmp_path / "2", known) == {"a": b"x"}


async def test_a_folder_is_held_to_the_digest_of_its_list(
    bucket: Bucket, known: Credentials, tmp_path: Path
) -> None:
    bucket.put("m/b/c", b"2")
    bucket.put("m/a", b"1")
    rows = [f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in FOLDER]
    digest = f"sha256:{hashlib.sha256(''.join(rows).encode()).hexdigest()}"
    wanted = {"a": b"1", "b/c": b"2"}
    assert await fetch("s3://models/m", tmp_path / "1", known, terms=Terms(digest)) == wanted
    with pytest.raises(FetchError, match="sha256 of the list of its files is") as caught:
        await fetch("s3://models/m", tmp_path / "2", known, terms=TERMS)
    assert caught.value.reason == "DigestMismatch"


FOLDER = (("a", b"1"), ("b/c", b"2"))


async def test_too_many_objects_are_refused(
    bucket: Bucket, known: Credentials, tmp_path: Path
) -> None:
    for number in range(3):
        bucket.put(f"m/{number}", b"x")
    few = Terms(limits=Limits(files=2))
    with pytest.raises(FetchError, match=r"more than 2 files \(fetchMaxFiles\)") as caught:
        await fetch("s3://models/m", tmp_path, known, terms=few)
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "ArtifactTooLarge")


def test_a_killed_agent_goes_on_where_it_stopped(make_rig: Any, pipe: Pipe) -> None:
    rig: RigFixture = make_rig(AWS_ENDPOINT_URL=pipe.endpoint)
    model = rig.upload("m", 1.0)
    rig.bucket.place("m/weights", LARGE)
    pipe.pace = 0.004
    rig.start(model)
    store = rig.agent.folder / "store"
    until(lambda: sum(map(partials.written, (store / "partial").glob("*"))) > 8 * MIB)
    rig.agent.process.end(signal.SIGKILL)
    there = sum(map(partials.written, (store / "partial").glob("*")))
    assert not list((rig.agent.folder / "models").iterdir())
    before = pipe.carried
    rig.agent.start()
    rig.agent.loaded(model)
    assert pipe.carried - before < len(LARGE) - there + MIB
    assert (rig.agent.folder / "models" / "m" / "weights").read_bytes() == LARGE
    until(lambda: not list((store / "partial").iterdir()))
    assert rig.server.predict("m") == 1.0


def test_an_update_with_a_wrong_digest_keeps_the_old_version(rig: RigFixture) -> None:
    good = replace(rig.upload("good", 1.0), name="m")
    new = replace(rig.upload("new", 2.0), name="m", artifact_digest=f"sha256:{'0' * 64}")
    rig.start(good)
    rig.agent.loaded(good)
    rig.agent.want_by_file(new)
    state = rig.agent.state("m", lambda seen: seen.state is State.FAILED)
    assert (state.loaded, state.reason) == (good.digest, "DigestMismatch")
    assert "0" * 64 in state.message
    assert rig.server.predict("m") == 1.0
    body = (
        rig.bucket.process.log.parent / "data" / "models" / "new" / "model.joblib"
    ).read_bytes()
    row = f"{hashlib.sha256(body).hexdigest()}  model.joblib\n"
    right = replace(new, artifact_digest=f"sha256:{hashlib.sha256(row.encode()).hexdigest()}")
    rig.agent.want_by_file(right)
    rig.agent.loaded(right)
    assert rig.server.predict("m") == 2.0


def test_models_of_one_address_are_fetched_once(make_rig: Any, pipe: Pipe) -> None:
    rig: RigFixture = make_rig(AWS_ENDPOINT_URL=pipe.endpoint)
    first = rig.upload("m", 1.0)
    rig.bucket.place("m/weights", LARGE)
    models = [Model(f"m{number}", first.storage_uri, "sklearn", "1Mi") for number in range(4)]
    rig.start(*models)
    rig.agent.loaded(*models)
    assert pipe.carried < len(LARGE) + MIB
