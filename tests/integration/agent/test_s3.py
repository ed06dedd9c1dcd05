"""Models in S3 buckets, from real servers in all the ways that they are set up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import shell
from cluster.certificates import Authority, Pair
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError
from support.agentrigs import ACCESS_KEY, SECRET_KEY
from support.fetches import fetch, fingerprint
from support.stores import Azurite, Gateway

WHO = "Secret ns/s3"
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
MODEL = {"a b": b"1", "ü/é": b"2", "100%": b"3", "p%20q": b"4", "x+y": b"5", "deep/er/f": b"6"}


def secret(
    endpoint: str, data: dict[str, str] | None = None, authority: str = "", **notes: str
) -> Credentials:
    notes = {"endpoint": endpoint, **notes}
    annotations = {f"serving.kserve.io/s3-{key}": value for key, value in notes.items()}
    return Credentials((Holder(WHO, KEYS if data is None else data, annotations, authority),))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def filled(gateway: Gateway) -> Gateway:
    for key, content in MODEL.items():
        gateway.put(f"model/{key}", content)
    return gateway


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = filled(Gateway.make(tmp_path_factory.mktemp("plain")))
    yield made
    made.process.end()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Gateway]:
    pair = authority.issue("s3", "/CN=s3", hosts=["IP:127.0.0.1"])
    made = filled(Gateway.make(tmp_path_factory.mktemp("secure"), tls=pair))
    yield made
    made.process.end()


@pytest.fixture(scope="module")
def own_pair(authority: Authority) -> Pair:
    """A certificate that is its own authority, as small installations have."""
    pair = Pair(authority.folder / "own.crt", authority.folder / "own.key")
    subject = ["-subj", "/CN=own", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(pair.key), "-out", str(pair.certificate)]
    shell.run(["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", *subject, *files])
    return pair


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, own_pair: Pair) -> Iterator[Gateway]:
    made = filled(Gateway.make(tmp_path_factory.mktemp("own"), tls=own_pair))
    yield made
    made.process.end()


async def test_odd_names_arrive_as_they_are(plain: Gateway, tmp_path: Path) -> None:
    known = secret(plain.endpoint)
    assert await fetch("s3://models/model", tmp_path / "all", known) == MODEL
    assert await fetch("s3://models/model/p%20q", tmp_path / "one", known) == {"p%20q": b"4"}


async def test_a_virtual_host_names_the_bucket(tmp_path: Path) -> None:
    # There is no wildcard DNS on a test machine, so the bucket is the first part of an address.
    gateway = Gateway.make(tmp_path / "server", domain="0.0.1")
    try:
        gateway.put("../127/model/a", b"x")
        known = secret(gateway.endpoint, usevirtualbucket="true")
        assert await fetch("s3://127/model", tmp_path / "work", known) == {"a": b"x"}
    finally:
        gateway.process.end()


async def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    secure: Gateway, authority: Authority, tmp_path: Path
) -> None:
    text = authority.ca().certificate.read_text()
    data = {**KEYS, "cabundle.crt": text}
    for name, known in {
        "config map": secret(secure.endpoint, authority=text),
        "secret": secret(secure.endpoint, data),
        "file": secret(secure.endpoint, cabundle=str(authority.ca().certificate)),
        "unverified": secret(secure.endpoint, verifyssl="0"),
    }.items():
        assert await fetch("s3://models/model", tmp_path / name, known) == MODEL, name


async def test_a_certificate_that_is_its_own_authority_is_trusted(
    own: Gateway, own_pair: Pair, tmp_path: Path
) -> None:
    text = own_pair.certificate.read_text()
    known = secret(own.endpoint, authority=text)
    assert await fetch("s3://models/model", tmp_path / "all", known) == MODEL
    assert await fetch("s3://models/model/p%20q", tmp_path / "one", known) == {"p%20q": b"4"}
    before = await fingerprint("s3://models/model", known)
    own.put("model/100%", b"new")
    assert await fingerprint("s3://models/model", known) != before
    own.put("model/100%", MODEL["100%"])


def odd_keys(azurite: Azurite) -> None:
    for key in ("a//b", "./x", "//y", "ok", "folder/", "z/./z"):
        azurite.put(f"odd/{key}", b"" if key.endswith("/") else key.encode())
    for key in ("a//b", "a/b"):
        azurite.put(f"twice/{key}", key.encode())
    azurite.put("up/../x", b"x")
    azurite.create("public", access="container")


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Azurite, Gateway]]:
    """An S3 server that can have any key: this one keeps its objects in Azurite."""
    azurite = Azurite.make(tmp_path_factory.mktemp("azurite"))
    odd_keys(azurite)
    gateway = Gateway.make(tmp_path_factory.mktemp("gateway"), azurite=azurite)
    yield azurite, gateway
    gateway.process.end()
    azurite.process.end()


async def test_empty_and_dot_segments_mean_nothing(
    keeper: tuple[Azurite, Gateway], tmp_path: Path
) -> None:
    known = secret(keeper[1].endpoint)
    wanted = {"a/b": b"a//b", "x": b"./x", "y": b"//y", "ok": b"ok", "z/z": b"z/./z"}
    assert await fetch("s3://models/odd", tmp_path, known) == wanted


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        pytest.param(
            "s3://models/twice",
            "the keys 'twice/a//b' and 'twice/a/b' are one path on a disk",
            id="two for one place",
        ),
        pytest.param(
            "s3://models/up", "'up/../x' has the segment '..', which no file can be named", id="up"
        ),
    ],
)
async def test_keys_that_no_disk_can_have_are_named(
    keeper: tuple[Azurite, Gateway], tmp_path: Path, uri: str, message: str
) -> None:
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path, secret(keeper[1].endpoint))
    assert caught.value.message == f"{uri}: {message}"
    assert caught.value.reason == "InvalidArtifact"


async def test_azure_itself_names_the_odd_key(
    keeper: tuple[Azurite, Gateway], tmp_path: Path
) -> None:
    known = Credentials((Holder(WHO, keeper[0].secret(), {}),))
    with pytest.raises(FetchError, match=r"the key 'odd/\./x' has an empty or dot segment"):
        await fetch("az://models/odd", tmp_path, known)


@pytest.mark.parametrize(
    ("uri", "notes", "data", "reason", "message"),
    [
        pytest.param(
            "s3://models/model",
            {},
            {**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong"},
            "CredentialsRefused",
            "{who}: {plain} refused access key shoal-access for s3://models/model: "
            "SignatureDoesNotMatch: The request signature we calculated does not match the "
            "signature you provided. Check your key and signing method. (403)",
            id="wrong key",
        ),
        pytest.param(
            "s3://models/model",
            {},
            {**KEYS, "AWS_ACCESS_KEY_ID": "nobody"},
            "CredentialsRefused",
            "{who}: {plain} refused access key nobody for s3://models/model: "
            "XAdminUserNotFound: No user exists with the provided access key ID. (404)",
            id="unknown key",
        ),
        pytest.param(
            "s3://models/model",
            {"useanoncredential": "true"},
            KEYS,
            "CredentialsRefused",
            "{who}: {plain} refused anonymous access for s3://models/model: "
            "AccessDenied: Access Denied. (403)",
            id="no stranger let in",
        ),
        pytest.param(
            "s3://nowhere/model",
            {},
            KEYS,
            "ModelNotFound",
            "s3://nowhere/model: no such object or folder at {plain}: NoSuchBucket: The "
            "specified bucket does not exist. (asked with {who})",
            id="no bucket",
        ),
        pytest.param(
            "s3://models/mode",
            {},
            KEYS,
            "ModelNotFound",
            "s3://models/mode: no such object or folder at {plain} (asked with {who})",
            id="no folder",
        ),
        pytest.param(
            "s3://models/model",
            {"endpoint": "http://127.0.0.1:9"},
            KEYS,
            "StorageUnavailable",
            "http://127.0.0.1:9 cannot be reached for s3://models/model: connection refused "
            "(asked with {who})",
            id="nobody there",
        ),
        pytest.param(
            "s3://models/model",
            {"endpoint": "http://no-such-host.invalid"},
            KEYS,
            "StorageUnavailable",
            "http://no-such-host.invalid cannot be reached for s3://models/model: its name "
            "cannot be resolved (asked with {who})",
            id="no such host",
        ),
        pytest.param(
            "s3://models/model",
            {"endpoint": "{secure}"},
            KEYS,
            "StorageUnavailable",
            "{secure} cannot be reached for s3://models/model: its TLS certificate is of an "
            "authority that is not known here; name a ConfigMap that has the authority as "
            "cabundle.crt with the annotation serving.kserve.io/s3-cabundle-configmap "
            "(asked with {who})",
            id="authority not known",
        ),
        pytest.param(
            "s3://models/model",
            {"endpoint": "{secure}", "cabundle": "/no/such/file"},
            KEYS,
            "CredentialsRefused",
            "{who}: the CA bundle /no/such/file cannot be read: No such file or directory; name "
            "a ConfigMap that has the authority as cabundle.crt with the annotation "
            "serving.kserve.io/s3-cabundle-configmap",
            id="no bundle",
        ),
        pytest.param(
            "s3://models/model",
            {"endpoint": "{secure}"},
            {**KEYS, "cabundle.crt": "nonsense"},
            "CredentialsRefused",
            "{who}: No certificates found in `root_certificate` input; expected one or more "
            "PEM-encoded certificates.",
            id="bundle of nonsense",
        ),
        pytest.param(
            "s3://models/model",
            {"endpoint": "https://{plain_host}"},
            KEYS,
            "StorageUnavailable",
            "https://{plain_host} cannot be reached for s3://models/model: it answers without "
            "TLS; is it http? (asked with {who})",
            id="http asked with https",
        ),
    ],
)
async def test_what_goes_wrong_is_said(  # noqa: PLR0913, PLR0917 - a table
    plain: Gateway,
    secure: Gateway,
    tmp_path: Path,
    uri: str,
    notes: dict[str, str],
    data: dict[str, str],
    reason: str,
    message: str,
) -> None:
    names = {
        "plain": plain.endpoint,
        "secure": secure.endpoint,
        "plain_host": plain.endpoint.partition("//")[2],
        "who": WHO,
    }
    notes = {"endpoint": plain.endpoint} | {k: v.format(**names) for k, v in notes.items()}
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path, secret(data=data, **notes))
    assert caught.value.message == message.format(**names)
    assert caught.value.reason == reason


async def test_an_authority_that_cannot_be_had_is_said(secure: Gateway, tmp_path: Path) -> None:
    problem = "ConfigMap ns/ca does not exist"
    notes = {"serving.kserve.io/s3-endpoint": secure.endpoint}
    known = Credentials((Holder(WHO, KEYS, notes, problem=problem),))
    with pytest.raises(FetchError) as caught:
        await fetch("s3://models/model", tmp_path, known)
    assert caught.value.reason == "CredentialsNotFound"
    assert caught.value.message == f"{WHO}: {problem}"


async def test_without_keys_it_says_where_to_list_them(plain: Gateway, tmp_path: Path) -> None:
    known = Credentials(environ={"AWS_ENDPOINT_URL": plain.endpoint})
    with pytest.raises(FetchError, match="list a Secret with the keys under secrets") as caught:
        await fetch("s3://models/model", tmp_path, known)
    assert caught.value.reason == "CredentialsNotFound"


async def test_what_the_spare_client_is_told_is_said_alike(
    own: Gateway, own_pair: Pair, tmp_path: Path
) -> None:
    text = own_pair.certificate.read_text()
    wrong = {**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong"}
    with pytest.raises(FetchError) as caught:
        await fetch("s3://models/model", tmp_path, secret(own.endpoint, wrong, text))
    assert caught.value.message.startswith(
        f"{WHO}: {own.endpoint} refused access key shoal-access for s3://models/model: "
        "SignatureDoesNotMatch: "
    )
    with pytest.raises(FetchError, match="no such object or folder"):
        await fetch("s3://models/none", tmp_path, secret(own.endpoint, authority=text))
