"""`shoal fetch` as the init container runs it, against a real S3 server and a real API server."""

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.agent.destinations import NOTE, PARTIAL
from support import faultypipes, faultysites
from support.agentrigs import Bucket, until
from support.faultypipes import Pipe
from support.faultysites import Site, whole
from support.fetchruns import FetchRun, found
from support.namespaces import Namespace

MIB = 1 << 20
LARGE = hashlib.shake_256(b"seed").digest(40 * MIB + 7)


@pytest.fixture
def pipe(bucket: Bucket) -> Iterator[Pipe]:
    with faultypipes.running(bucket.port) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with faultysites.running(tmp_path / "site") as running:
        yield running


@pytest.fixture
def fetch(tmp_path: Path, bucket: Bucket) -> FetchRun:
    return FetchRun.make(tmp_path / "run", bucket.endpoint, {})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The volume, as the kubelet makes it: there, and empty."""
    folder = tmp_path / "mnt" / "models"
    folder.mkdir(parents=True)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_arrives_and_can_be_read_by_all(
    bucket: Bucket, fetch: FetchRun, models: Path
) -> None:
    bucket.put("iris/model.joblib", b"abc")
    bucket.put("iris/1/weights", b"")
    bucket.put("iris2/model.joblib", b"other")
    done = fetch.run("s3://models/iris", models)
    assert (done.returncode, done.stderr, fetch.note) == (0, "", "")
    assert found(models) == {"model.joblib": b"abc", "1/weights": b""}
    assert names(models) == [NOTE, "1", "model.joblib"]
    assert [oct(path.stat().st_mode & 0o777) for path in (models / "1", models / "1/weights")] == [
        "0o755",
        "0o644",
    ]
    assert done.stdout.splitlines()[0] == "s3://models/iris: has 0 B of 3 B"
    assert done.stdout.splitlines()[-1] == f"s3://models/iris: is in {models}"


def test_several_models_arrive_each_in_its_folder(
    bucket: Bucket, fetch: FetchRun, models: Path
) -> None:
    bucket.put("a/x", b"1")
    bucket.put("b/y", b"2")
    done = fetch.run("s3://models/a", models / "a", "s3://models/b/y", models / "b")
    assert done.returncode == 0, done.stderr
    assert (found(models / "a"), found(models / "b")) == ({"x": b"1"}, {"y": b"2"})


def test_one_model_may_lie_in_the_folder_of_another(
    bucket: Bucket, fetch: FetchRun, models: Path
) -> None:
    bucket.put("a/x", b"1")
    bucket.put("b/y", b"2")
    words = ["s3://models/b", models / "b", "s3://models/a", models]
    assert fetch.run(*words).returncode == 0
    assert (models / "x").read_bytes() == b"1"
    bucket.put("a/x", b"11")
    done = fetch.run(*words)
    assert f"s3://models/b: is in {models}/b already, nothing to do\n" in done.stdout
    assert found(models)["x"] == b"11"
    assert found(models / "b") == {"y": b"2"}


def test_a_second_run_does_nothing_and_says_so(
    bucket: Bucket, pipe: Pipe, tmp_path: Path, models: Path
) -> None:
    fetch = FetchRun.make(tmp_path / "run", pipe.endpoint, {})
    bucket.place("m/weights", LARGE)
    assert fetch.run("s3://models/m", models).returncode == 0
    before, carried = (models / "weights").stat(), pipe.carried
    done = fetch.run("s3://models/m", models)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"s3://models/m: is in {models} already, nothing to do\n"
    assert (models / "weights").stat() == before
    assert pipe.carried - carried < MIB


def test_content_that_changed_takes_the_place_of_the_old_alone(
    bucket: Bucket, fetch: FetchRun, models: Path
) -> None:
    bucket.put("m/old/a", b"1")
    bucket.put("m/b", b"2")
    (models / "foreign").write_bytes(b"stays")
    assert fetch.run("s3://models/m", models).returncode == 0
    bucket.delete("m/old/a")
    bucket.put("m/b", b"22")
    assert fetch.run("s3://models/m", models).returncode == 0
    assert found(models) == {"b": b"22", "foreign": b"stays"}
    assert not (models / "old").exists()


def test_what_somebody_damaged_is_brought_again(
    bucket: Bucket, fetch: FetchRun, models: Path
) -> None:
    bucket.put("m/a", b"1")
    bucket.put("m/b", b"2")
    assert fetch.run("s3://models/m", models).returncode == 0
    (models / "a").unlink()
    (models / "b").write_bytes(b"x")
    assert fetch.run("s3://models/m", models).returncode == 0
    assert found(models) == {"a": b"1", "b": b"2"}


def test_a_killed_run_is_gone_on_with(
    bucket: Bucket, pipe: Pipe, tmp_path: Path, models: Path
) -> None:
    fetch = FetchRun.make(tmp_path / "run", pipe.endpoint, {})
    bucket.place("m/weights", LARGE)
    pipe.pace = 0.05
    first = fetch.start("s3://models/m", models)
    until(lambda: pipe.carried > 16 * MIB)
    first.kill()
    fetch.end(first)
    assert names(models) == [PARTIAL]
    pipe.pace = 0
    carried = pipe.carried
    done = fetch.run("s3://models/m", models)
    assert done.returncode == 0, done.stderr
    assert found(models) == {"weights": LARGE}
    assert not (models / PARTIAL).exists()
    assert pipe.carried - carried < len(LARGE) - 4 * MIB


def test_sigterm_ends_it_at_once_with_a_sentence(
    bucket: Bucket, pipe: Pipe, tmp_path: Path, models: Path
) -> None:
    fetch = FetchRun.make(tmp_path / "run", pipe.endpoint, {})
    bucket.place("m/weights", LARGE)
    pipe.pace = 0.5
    process = fetch.start("s3://models/m", models)
    until(lambda: pipe.carried > MIB)
    process.send_signal(signal.SIGTERM)
    done = fetch.end(process)
    assert done.returncode == 143
    assert done.stderr == "stopped; the next run goes on with what has come\n"


@pytest.mark.parametrize(
    ("uri", "environ", "sentence"),
    [
        pytest.param(
            "s3://models/none",
            {},
            "s3://models/none: no such object or folder at {endpoint}",
            id="nothing-there",
        ),
        pytest.param(
            "s3://models/m",
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            "environment: {endpoint} refused access key shoal-access for s3://models/m",
            id="wrong-keys",
        ),
    ],
)
def test_a_failure_is_one_sentence_and_exit_code_1(
    bucket: Bucket, tmp_path: Path, models: Path, uri: str, environ: dict[str, str], sentence: str
) -> None:
    bucket.put("m/a", b"1")
    fetch = FetchRun.make(tmp_path / "run", bucket.endpoint, environ)
    done = fetch.run(uri, models)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence.format(endpoint=bucket.endpoint)), done.stderr
    assert done.stderr == f"{fetch.note}\n"
    assert found(models) == {}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param([], "give addresses, each followed by a folder", id="none"),
        pytest.param(["s3://b/m"], "give addresses, each followed by a folder", id="no-folder"),
        pytest.param(["s3://b/m", "/x", "s3://b/n", "/x"], "/x: is named twice", id="twice"),
        pytest.param(["ftp://b/m", "/x"], "storageUri: 'ftp://b/m' starts with none", id="scheme"),
    ],
)
def test_bad_arguments_are_one_sentence_and_exit_code_2(
    fetch: FetchRun, words: list[str], sentence: str
) -> None:
    done = fetch.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert done.stderr == f"{fetch.note}\n"


def test_a_store_that_comes_back_is_waited_for(
    bucket: Bucket, tmp_path: Path, models: Path
) -> None:
    environ = {"SHOAL_FETCH_PATIENCE_SECONDS": "30"}
    fetch = FetchRun.make(tmp_path / "run", bucket.endpoint, environ)
    bucket.put("m/a", b"1")
    bucket.process.end()
    process = fetch.start("s3://models/m", models)
    assert process.stdout is not None
    assert "; next try in" in process.stdout.readline()
    bucket.start()
    done = fetch.end(process)
    assert (done.returncode, done.stderr) == (0, "")
    assert found(models) == {"a": b"1"}


def test_a_store_that_stays_away_is_given_up(bucket: Bucket, tmp_path: Path, models: Path) -> None:
    bucket.process.end()
    environ = {"SHOAL_FETCH_PATIENCE_SECONDS": "1"}
    fetch = FetchRun.make(tmp_path / "run", bucket.endpoint, environ)
    done = fetch.run("s3://models/m", models)
    assert done.returncode == 1
    assert "cannot be reached for s3://models/m: connection refused" in done.stderr
    assert done.stderr == f"{fetch.note}\n"


def test_progress_is_told_while_it_comes(
    bucket: Bucket, pipe: Pipe, tmp_path: Path, models: Path
) -> None:
    fetch = FetchRun.make(tmp_path / "run", pipe.endpoint, {})
    bucket.place("m/weights", LARGE)
    pipe.pace = 0.08
    done = fetch.run("s3://models/m", models)
    told = [line for line in done.stdout.splitlines() if line.endswith("MiB/s")]
    assert told[0].startswith("s3://models/m: ")
    assert " of 40.0 MiB, " in told[0]


def test_a_page_of_a_web_server_arrives(site: Site, fetch: FetchRun, models: Path) -> None:
    url = site.plan("/m.joblib", whole(LARGE))
    done = fetch.run(f"{url}?token=secret", models)
    assert done.returncode == 0, done.stderr
    assert found(models) == {"m.joblib": LARGE}
    assert "secret" not in done.stdout


def test_only_what_has_the_promised_digest_is_used(
    bucket: Bucket, tmp_path: Path, models: Path
) -> None:
    bucket.put("m/a", b"1")
    sums = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("1", "2")}
    listed = {
        name: hashlib.sha256(f"{each}  a\n".encode()).hexdigest() for name, each in sums.items()
    }

    def fetch(name: str) -> FetchRun:
        digest = {"SHOAL_ARTIFACT_DIGEST": f"sha256:{listed[name]}"}
        return FetchRun.make(tmp_path / "run", bucket.endpoint, digest)

    done = fetch("2").run("s3://models/m", models)
    sentence = (
        f"s3://models/m: the sha256 of the list of its files is {listed['1']}, and {listed['2']} "
        "was promised; nothing of it is used\n"
    )
    assert (done.returncode, done.stderr) == (1, sentence)
    assert found(models) == {}
    done = fetch("1").run("s3://models/m", models)
    assert (done.returncode, done.stderr) == (0, "")
    assert found(models) == {"a": b"1"}


def test_a_secret_is_read_from_the_api_at_each_run(
    namespace: Namespace, bucket: Bucket, tmp_path: Path, models: Path
) -> None:
    bucket.put("m/a", b"1")
    namespace.account("aws")
    namespace.grant("aws", "own")
    environ = {"SHOAL_STORAGE_SECRET": "own", **namespace.log_in()}
    fetch = FetchRun.make(tmp_path / "run", "", environ)
    done = fetch.run("s3://models/m", models)
    assert (done.returncode, done.stderr) == (1, f"Secret {namespace.name}/own does not exist\n")
    namespace.secret(bucket.secret("not-the-key"), "own")
    done = fetch.run("s3://models/m", models)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Secret {namespace.name}/own: {bucket.endpoint} refused")
    namespace.secret(bucket.secret(), "own")
    assert fetch.run("s3://models/m", models).returncode == 0
    assert found(models) == {"a": b"1"}


def test_the_accounts_secrets_are_read_where_none_is_named(
    namespace: Namespace, bucket: Bucket, tmp_path: Path, models: Path
) -> None:
    bucket.put("m/a", b"1")
    namespace.account("aws")
    namespace.grant("aws")
    namespace.secret(bucket.secret())
    fetch = FetchRun.make(tmp_path / "run", "", namespace.log_in())
    assert fetch.run("s3://models/m", models).returncode == 0
    assert found(models) == {"a": b"1"}
