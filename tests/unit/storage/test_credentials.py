from typing import Any

import pytest

from shoal.storage import credentials
from shoal.storage.credentials import Credentials, Holder

P = "serving.kserve.io/s3-"
KEYS = {"AWS_ACCESS_KEY_ID": "ak", "AWS_SECRET_ACCESS_KEY": "sk"}
GCS = {"gcloud-application-credentials.json": "{}"}


def secret(data: dict[str, str] | None = None, name: str = "s", **annotations: str) -> Holder:
    values = {f"{P}{key}": value for key, value in annotations.items()}
    return Holder(f"Secret ns/{name}", data or {}, values)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(
            Credentials((secret(KEYS, endpoint="h:1", usehttps="0"),)),
            {"endpoint": "http://h:1", "access_key": "ak", "anonymous": False},
            id="annotations",
        ),
        pytest.param(
            Credentials((secret(KEYS, endpoint="h:1"),)), {"endpoint": "https://h:1"}, id="https"
        ),
        pytest.param(
            Credentials((secret(KEYS, endpoint="http://h:1", usehttps="1"),)),
            {"endpoint": "http://h:1"},
            id="a scheme wins",
        ),
        pytest.param(
            Credentials(
                (secret(KEYS | {"AWS_ENDPOINT_URL": "http://data"}, endpoint="http://note"),),
                environ={"AWS_ENDPOINT_URL": "http://env"},
            ),
            {"endpoint": "http://note"},
            id="annotation before data",
        ),
        pytest.param(
            Credentials(
                (secret(KEYS | {"AWS_ENDPOINT_URL": "http://data"}),),
                environ={"AWS_ENDPOINT_URL": "http://env"},
            ),
            {"endpoint": "http://data"},
            id="data before environment",
        ),
        pytest.param(
            Credentials((secret(KEYS),), environ={"S3_ENDPOINT": "env", "S3_USE_HTTPS": "0"}),
            {"endpoint": "http://env", "origin": "Secret ns/s"},
            id="environment last",
        ),
        pytest.param(
            Credentials((secret({"awsAccessKeyID": "a", "awsSecretAccessKey": "b"}),)),
            {"access_key": "a", "secret_key": "b"},
            id="old names of the keys",
        ),
        pytest.param(
            Credentials((secret(GCS, "g"), secret(KEYS, "one"), secret(KEYS, "two"))),
            {"origin": "Secret ns/one"},
            id="first that matches",
        ),
        pytest.param(
            Credentials(
                (secret(KEYS, region="eu", verifyssl="0", usevirtualbucket="true", cabundle="/c"),)
            ),
            {"region": "eu", "verify": False, "virtual_host": True, "ca_bundle": "/c"},
            id="switches",
        ),
        pytest.param(
            Credentials((secret(KEYS, useaccelerate="true"),)),
            {"endpoint": "https://s3-accelerate.amazonaws.com", "virtual_host": True},
            id="accelerate",
        ),
        pytest.param(
            Credentials((secret(KEYS, useanoncredential="true"),)),
            {"anonymous": True},
            id="anonymous by annotation",
        ),
        pytest.param(
            Credentials((secret(endpoint="http://h"),)),
            {"anonymous": True, "endpoint": "http://h"},
            id="an endpoint without keys",
        ),
        pytest.param(
            Credentials(environ=KEYS), {"origin": "environment", "access_key": "ak"}, id="process"
        ),
        pytest.param(Credentials(), {"origin": "no credentials", "anonymous": True}, id="none"),
        pytest.param(
            Credentials(environ={"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}),
            {"ambient": True, "anonymous": False},
            id="web identity",
        ),
        pytest.param(
            Credentials(
                account=Holder("ServiceAccount ns/a", {}, {"eks.amazonaws.com/role-arn": "r"})
            ),
            {"ambient": True, "anonymous": False, "origin": "ServiceAccount ns/a"},
            id="role of the account",
        ),
    ],
)
def test_how_a_bucket_is_reached(known: Credentials, expected: dict[str, Any]) -> None:
    options = credentials.s3(known)
    assert {key: getattr(options, key) for key in expected} == expected


def test_no_secret_is_printed() -> None:
    known = Credentials((secret(KEYS | GCS),), environ=KEYS)
    assert "sk" not in repr((known.environ and known, credentials.s3(known)))
    assert "{}" not in repr(credentials.gcs(known)).replace("Secret", "")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(Credentials((secret(KEYS), secret(GCS, "g"))), {"key": "{}"}, id="key"),
        pytest.param(
            Credentials(environ={"GOOGLE_APPLICATION_CREDENTIALS": "/k"}),
            {"key_file": "/k"},
            id="key file",
        ),
        pytest.param(
            Credentials(environ={"STORAGE_EMULATOR_HOST": "h:1"}),
            {"endpoint": "http://h:1", "origin": "no credentials"},
            id="emulator",
        ),
        pytest.param(
            Credentials(account=Holder("a", {}, {"iam.gke.io/gcp-service-account": "x"})),
            {"ambient": True},
            id="workload identity",
        ),
    ],
)
def test_how_google_is_reached(known: Credentials, expected: dict[str, Any]) -> None:
    options = credentials.gcs(known)
    assert {key: getattr(options, key) for key in expected} == expected


AZURE = {"AZURE_STORAGE_ACCESS_KEY": "azk"}
PRINCIPAL = {"AZ_CLIENT_ID": "i", "AZ_CLIENT_SECRET": "azk", "AZ_TENANT_ID": "t"}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(
            Credentials((secret(KEYS), secret(AZURE, "az")), environ=PRINCIPAL),
            {"origin": "Secret ns/az", "key": "azk", "client_id": ""},
            id="first Secret that has any",
        ),
        pytest.param(
            Credentials((secret(PRINCIPAL),)),
            {"client_id": "i", "client_secret": "azk", "tenant": "t", "anonymous": False},
            id="service principal by its old names",
        ),
        pytest.param(
            Credentials((secret({"AZURE_STORAGE_SAS_TOKEN": "?sig=1"}),)),
            {"sas": "sig=1"},
            id="a token as the portal gives it",
        ),
        pytest.param(Credentials(environ=AZURE), {"origin": "environment"}, id="environment"),
        pytest.param(
            Credentials(environ={"AZURE_FEDERATED_TOKEN_FILE": "/t", "AZURE_CLIENT_ID": "i"}),
            {"ambient": True, "anonymous": False},
            id="workload identity",
        ),
        pytest.param(
            Credentials((secret(KEYS),), environ={"AZURE_STORAGE_ENDPOINT": "http://e/"}),
            {"origin": "no credentials", "anonymous": True, "endpoint": "http://e"},
            id="none",
        ),
    ],
)
def test_how_azure_is_reached(known: Credentials, expected: dict[str, Any]) -> None:
    options = credentials.azure(known)
    assert {key: getattr(options, key) for key in expected} == expected
    assert "azk" not in repr(options)


def test_headers_of_a_host() -> None:
    known = Credentials((secret({"https-host": "h", "headers": '{"A": "b"}'}),))
    assert credentials.headers("h", known) == ("Secret ns/s", '{"A": "b"}')
    assert credentials.headers("x", known)[1] == ""
    assert credentials.parse_headers('{"A": "b"}') == {"A": "b"}
    assert credentials.parse_headers("A: b\nC: d:e\n") == {"A": "b", "C": "d:e"}
    with pytest.raises(ValueError, match="lines of"):
        credentials.parse_headers("nonsense")


GIT = {"GIT_USERNAME": "u", "GIT_PASSWORD": "t0ken"}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(Credentials((secret(GIT),)), ("Secret ns/s", "u", "t0ken"), id="Secret"),
        pytest.param(
            Credentials((secret(GIT | {"https-host": "h", "GIT_USERNAME": ""}),)),
            ("Secret ns/s", "git", "t0ken"),
            id="for this host, without a user",
        ),
        pytest.param(
            Credentials((secret(GIT | {"https-host": "i"}),), environ=GIT),
            ("environment", "u", "t0ken"),
            id="for another host",
        ),
        pytest.param(
            Credentials((secret({"GIT_USERNAME": "u"}),)), ("no credentials", "", ""), id="none"
        ),
    ],
)
def test_how_a_git_server_is_reached(known: Credentials, expected: tuple[str, str, str]) -> None:
    options = credentials.git("h", known)
    assert (options.origin, options.user, options.password) == expected
    assert "t0ken" not in repr(options)


def test_the_endpoint_as_messages_show_it() -> None:
    assert credentials.shown_endpoint(credentials.s3(Credentials())).endswith("amazonaws.com")
    known = Credentials((secret(KEYS, endpoint="http://u:p@h:1"),))
    assert credentials.shown_endpoint(credentials.s3(known)) == "http://h:1"
