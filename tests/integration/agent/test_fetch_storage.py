"""`storage` of a model: `shoal fetch` reads an entry of a Secret, from real servers."""

import json
from pathlib import Path

import pytest

from shoal.storagespecs import StorageSpec
from support.agentrigs import ACCESS_KEY, SECRET_KEY, Bucket
from support.fetchruns import FetchRun, found
from support.namespaces import Namespace

SECRET = "storage-config"  # noqa: S105 - its name


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "mnt" / "models"
    folder.mkdir(parents=True)
    return folder


def entry(server: Bucket, **given: str) -> str:
    row = {
        "type": "s3",
        "bucket": "models",
        "endpoint_url": server.endpoint,
        "region": "us-east-1",
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
    }
    return json.dumps(row | given)


def store(namespace: Namespace, **data: str) -> None:
    namespace.secret({"annotations": {}, "data": data}, SECRET)


def run(namespace: Namespace, folder: Path, key: str = "", **parameters: str) -> FetchRun:
    spec = StorageSpec(SECRET, key, parameters)
    return FetchRun.make(folder, "", {"SHOAL_STORAGE_SPEC": spec.encode(), **namespace.log_in()})


@pytest.fixture
def granted(namespace: Namespace) -> Namespace:
    namespace.account()
    namespace.grant(SECRET)
    return namespace


def test_the_named_entry_is_read_at_each_run_and_told_by_nobody(
    granted: Namespace, bucket: Bucket, tmp_path: Path, models: Path
) -> None:
    bucket.put("iris/a", b"1")
    fetch = run(granted, tmp_path / "run", "minio")
    done = fetch.run("storage://iris", models)
    assert (done.returncode, done.stderr) == (
        1,
        f"Secret {granted.name}/{SECRET} does not exist\n",
    )
    store(granted, other=entry(bucket))
    done = fetch.run("storage://iris", models)
    assert done.stderr == (
        f"specified storage key minio not found in storage secret: Secret {granted.name}/{SECRET} "
        "has no key minio\n"
    )
    store(granted, minio=entry(bucket, secret_access_key="rotated-away"))  # noqa: S106
    done = fetch.run("storage://iris", models)
    assert done.stderr.startswith(
        f"Secret {granted.name}/{SECRET}, key minio: {bucket.endpoint} refused access key"
    )
    assert "rotated-away" not in done.stderr + done.stdout
    store(granted, minio=entry(bucket))
    done = fetch.run("storage://iris", models)
    assert (done.returncode, done.stderr) == (0, "")
    assert found(models) == {"a": b"1"}
    assert done.stdout.splitlines()[0] == "s3://models/iris: has 0 B of 1 B"
    assert SECRET_KEY not in done.stdout


def test_parameters_go_over_the_entry_of_the_type(
    granted: Namespace, bucket: Bucket, tmp_path: Path, models: Path
) -> None:
    bucket.put("iris/a", b"1")
    store(granted, default_s3=entry(bucket, bucket="elsewhere"))
    fetch = run(granted, tmp_path / "run", type="s3", bucket="models")
    assert fetch.run("storage://iris", models).returncode == 0
    assert found(models) == {"a": b"1"}


def test_a_storage_uri_is_fetched_with_the_entry(
    granted: Namespace, bucket: Bucket, tmp_path: Path, models: Path
) -> None:
    bucket.put("iris/a", b"1")
    store(granted, minio=entry(bucket))
    fetch = run(granted, tmp_path / "run", "minio")
    assert fetch.run("s3://models/iris", models).returncode == 0
    done = fetch.run("gs://models/iris", models)
    assert done.stderr == (
        f"Secret {granted.name}/{SECRET}, key minio: is for storage type [s3], and storageUri is "
        "gs://models/iris\n"
    )


def test_a_store_of_a_kind_that_is_not_fetched_is_said(
    granted: Namespace, tmp_path: Path, models: Path
) -> None:
    store(granted, hadoop=json.dumps({"type": "hdfs", "HDFS_NAMENODE": "http://n"}))
    done = run(granted, tmp_path / "run", "hadoop").run("storage://iris", models)
    assert (done.returncode, found(models)) == (1, {})
    assert "storage type [hdfs] is not fetched by this version" in done.stderr


def test_a_spec_that_cannot_be_read_is_said(tmp_path: Path, models: Path) -> None:
    environ = {"SHOAL_STORAGE_SPEC": "{", "SHOAL_NAMESPACE": "ns"}
    done = FetchRun.make(tmp_path / "run", "", environ).run("storage://iris", models)
    assert done.returncode == 2
    assert done.stderr.startswith("SHOAL_STORAGE_SPEC: ")
