import json
from typing import Any

import pytest

from shoal.storage import credentials, entries
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.entries import Entry
from shoal.storage.failures import FetchError, Kind
from shoal.storagespecs import StorageSpec

KEYS = {"access_key_id": "id", "secret_access_key": "hush"}
MINIO = {"type": "s3", "bucket": "models", "endpoint_url": "http://minio:9000", **KEYS}
WHO = "Secret ns/storage-config"


def spec(key: str = "", **parameters: str) -> StorageSpec:
    return StorageSpec("storage-config", key, parameters)


def secret(**data: Any) -> Holder:
    texts = {key: row if isinstance(row, str) else json.dumps(row) for key, row in data.items()}
    return Holder(WHO, texts, {})


def read(wanted: StorageSpec, **data: Any) -> Entry:
    return entries.read(wanted, secret(**data))


@pytest.mark.parametrize(
    ("wanted", "data", "bucket"),
    [
        pytest.param(spec("mine"), {"mine": MINIO, "default": {}}, "models", id="by-key"),
        pytest.param(spec(), {"default": MINIO}, "models", id="the-default"),
        pytest.param(spec(type="s3"), {"default_s3": MINIO}, "models", id="that-of-the-type"),
        pytest.param(
            spec("mine", bucket="other"), {"mine": MINIO}, "other", id="a-parameter-wins"
        ),
        pytest.param(
            spec("mine", bucket=""), {"mine": MINIO}, "models", id="an-empty-one-is-none"
        ),
    ],
)
def test_the_address_is_that_of_the_entrys_store(
    wanted: StorageSpec, data: dict[str, Any], bucket: str
) -> None:
    entry = read(wanted, **data)
    assert entries.locate("storage://a/b", entry).uri == f"s3://{bucket}/a/b"
    options = credentials.s3(Credentials((entry.holder,)))
    assert options.origin == f"{WHO}, key {wanted.entry}"
    assert (options.endpoint, options.access_key) == ("http://minio:9000", "id")
    assert "hush" not in repr(entry)


@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        pytest.param({"type": "gs", "bucket": "b"}, "gs://b/a/c", id="gs"),
        pytest.param({"type": "gs"}, "gs://a/c", id="the-path-names-the-bucket"),
        pytest.param({"type": "azure", "bucket": "b"}, "az://b/a/c", id="azure"),
        pytest.param({"type": "hf"}, "hf://a/c", id="hf"),
        pytest.param({"type": "https"}, "https://a/c", id="https"),
    ],
)
def test_other_types_have_addresses_too(fields: dict[str, str], uri: str) -> None:
    assert entries.locate("storage://a/c", read(spec("k"), k=fields)).uri == uri


def test_all_that_a_bucket_is_asked_with_can_be_said() -> None:
    more = {"region": "eu", "verify_ssl": "0", "ca_bundle": "/f", "cabundle_configmap": "ca"}
    holder = read(spec("k"), k={**MINIO, **more}).holder
    options = credentials.s3(Credentials((holder,)))
    assert (options.region, options.verify, options.ca_bundle) == ("eu", False, "/f")
    assert (options.secret_key, options.anonymous, holder.bundle) == ("hush", False, "ca")
    public = read(spec("k"), k={"type": "s3", "endpoint_url": "http://m", "anonymous": "true"})
    options = credentials.s3(Credentials((public.holder,)))
    assert (options.endpoint, options.anonymous) == ("http://m", True)


def test_an_entry_of_another_store_has_its_secrets_keys() -> None:
    fields = {"type": "azure", "AZURE_STORAGE_ACCOUNT_NAME": "me", "AZURE_STORAGE_ACCESS_KEY": "k"}
    options = credentials.azure(Credentials((read(spec("k"), k=fields).holder,)))
    assert (options.account, options.key) == ("me", "k")


def test_parameters_alone_do_where_no_entry_is_named() -> None:
    wanted = spec(type="s3", bucket="b")
    for entry in (entries.missing(wanted, "it is not there"), read(wanted, other=MINIO)):
        assert entries.locate("storage://m", entry).uri == "s3://b/m"
    assert read(wanted, other=MINIO).problem == f"{WHO} has no key default_s3"


def test_an_address_of_ones_own_takes_the_entrys_credentials_alone() -> None:
    assert entries.locate("s3://x/y", read(spec("k"), k=MINIO)).uri == "s3://x/y"
    untyped = {name: text for name, text in MINIO.items() if name != "type"}
    assert entries.locate("s3://x/y", read(spec("k"), k=untyped)).uri == "s3://x/y"


def refused(wanted: StorageSpec, address: str = "storage://m", **data: Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        entries.locate(address, read(wanted, **data))
    assert caught.value.kind is Kind.PERMANENT
    assert "hush" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("wanted", "data", "reason", "message"),
    [
        pytest.param(
            spec("k"),
            {"other": MINIO},
            "CredentialsNotFound",
            f"specified storage key k not found in storage secret: {WHO} has no key k",
            id="no-such-key",
        ),
        pytest.param(
            spec(),
            {},
            "InvalidStorageUri",
            f"unable to determine storage type: {WHO} has no key default; name it there or in "
            "storage.parameters.type",
            id="no-default-and-no-type",
        ),
        pytest.param(
            spec("k"),
            {"k": {"bucket": "b"}},
            "InvalidStorageUri",
            f"unable to determine storage type: {WHO}, key k has no type; name it there or in "
            "storage.parameters.type",
            id="no-type",
        ),
        pytest.param(
            spec("k"),
            {"k": {"type": "s3", **KEYS}},
            "InvalidStorageUri",
            f"{WHO}, key k: format [s3] requires a bucket but one wasn't found in storage data or "
            "parameters",
            id="no-bucket",
        ),
        pytest.param(
            spec("k"),
            {"k": {"type": "hdfs"}},
            "InvalidStorageUri",
            f"{WHO}, key k: storage type [hdfs] is not fetched by this version; copy the model to "
            "a store of another type, or mount it as a claim (pvc://)",
            id="hdfs",
        ),
        pytest.param(
            spec("k"),
            {"k": {"type": "ftp"}},
            "InvalidStorageUri",
            f"{WHO}, key k: storage type must be one of [s3, gs, azure, hf, https, http]. storage "
            "type [ftp] is not supported",
            id="another-type",
        ),
        pytest.param(
            spec("k"),
            {"k": {"type": "https", "bucket": "b"}},
            "InvalidStorageUri",
            f"{WHO}, key k: storage type [https] has no bucket; remove it",
            id="a-bucket-of-the-web",
        ),
        pytest.param(
            spec("k"),
            {"k": {**MINIO, "access_key_id": ""}},
            "CredentialsNotFound",
            f"{WHO}, key k: access_key_id and secret_access_key belong together; one is missing",
            id="half-a-pair",
        ),
        pytest.param(
            spec("k"),
            {"k": "hush"},
            "CredentialsRefused",
            f"{WHO}, key k: invalid json encountered: Expecting value: line 1 column 1 (char 0)",
            id="no-json",
        ),
        pytest.param(
            spec("k"),
            {"k": ["hush"]},
            "CredentialsRefused",
            f"{WHO}, key k: must be a JSON object of texts",
            id="a-list",
        ),
        pytest.param(
            spec("k"),
            {"k": {"verify_ssl": False}},
            "CredentialsRefused",
            f"{WHO}, key k: verify_ssl must be a text, in quotes",
            id="no-text",
        ),
    ],
)
def test_what_is_wrong_is_said(
    wanted: StorageSpec, data: dict[str, Any], reason: str, message: str
) -> None:
    error = refused(wanted, **data)
    assert (error.reason, error.message) == (reason, message)


def test_a_store_of_another_kind_than_the_address_is_refused() -> None:
    error = refused(spec("k"), "gs://b/m?sig=hush", k=MINIO)
    assert error.message == f"{WHO}, key k: is for storage type [s3], and storageUri is gs://b/m"


def test_a_secret_that_is_not_there_is_refused_where_its_key_is_named() -> None:
    with pytest.raises(FetchError, match="it is not there"):
        entries.missing(spec("k", type="s3", bucket="b"), "it is not there")
