"""Models in Google Cloud Storage, from a real fake-gcs-server.

It lets everybody in, so who logs in how is seen at a mock before it, or in its place.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from cluster import shell
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError
from support.fetches import fetch, fingerprint
from support.mocks import serving
from support.stores import FakeGcs

WHO = "Secret ns/gcs"
MODEL = {"a b": b"1", "ü/é": b"2", "100%": b"3", "p%20q": b"4", "x+y": b"5", "deep/er/f": b"6"}


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    made = FakeGcs.make(tmp_path_factory.mktemp("gcs"))
    for key, content in MODEL.items():
        made.put(f"model/{key}", content)
    made.put("model2/c", b"neighbour")
    yield made
    made.process.end()


@pytest.fixture(scope="module")
def private_key(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("key") / "key"
    shell.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", str(target)])
    return target.read_text()


def stranger(gcs: FakeGcs) -> Credentials:
    return Credentials(environ={"STORAGE_EMULATOR_HOST": gcs.endpoint})


def key_file(private_key: str, email: str = "robot@example.com") -> Credentials:
    whole = {
        "type": "service_account",
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": email,
        "client_id": "1",
    }
    data = {"gcloud-application-credentials.json": json.dumps(whole)}
    return Credentials((Holder(WHO, data, {}),))


def at(gcs: FakeGcs, known: Credentials) -> Credentials:
    return Credentials(known.secrets, environ={"STORAGE_EMULATOR_HOST": gcs.endpoint})


async def test_a_folder_brings_its_files_and_no_neighbours(gcs: FakeGcs, tmp_path: Path) -> None:
    assert await fetch("gs://models/model", tmp_path / "all", stranger(gcs)) == MODEL
    one = await fetch("gs://models/model/p%20q", tmp_path / "one", stranger(gcs))
    assert one == {"p%20q": b"4"}


async def test_folder_markers_are_no_files(gcs: FakeGcs, tmp_path: Path) -> None:
    for key in ("marked/", "marked/sub/", "marked/sub/f"):
        gcs.put(key, b"f" if key.endswith("f") else b"")
    assert await fetch("gs://models/marked", tmp_path, stranger(gcs)) == {"sub/f": b"f"}


async def test_a_changed_object_changes_the_fingerprint(gcs: FakeGcs) -> None:
    gcs.put("changing/a", b"one")
    first = await fingerprint("gs://models/changing", stranger(gcs))
    assert await fingerprint("gs://models/changing", stranger(gcs)) == first
    gcs.put("changing/a", b"two")
    assert await fingerprint("gs://models/changing", stranger(gcs)) != first


async def test_an_odd_key_is_named(gcs: FakeGcs, tmp_path: Path) -> None:
    gcs.put("odd/a//b", b"x")
    gcs.put("odd/c", b"x")
    with pytest.raises(FetchError) as caught:
        await fetch("gs://models/odd", tmp_path, stranger(gcs))
    assert caught.value.reason == "InvalidArtifact"
    assert caught.value.message == (
        "gs://models/odd: the key 'odd/a//b' has an empty or dot segment, which cannot be "
        "fetched from here; give the object another key"
    )


@pytest.mark.parametrize(
    ("uri", "reason", "message"),
    [
        pytest.param(
            "gs://nowhere/model",
            "StorageUnavailable",  # Google itself answers 404
            "{gcs} answered 500 for gs://nowhere/model: 500: no bucket named nowhere (asked "
            "without credentials)",
            id="no bucket",
        ),
        pytest.param(
            "gs://models/mode",
            "ModelNotFound",
            "gs://models/mode: no such object or folder at {gcs} (asked without credentials; "
            "list a Secret with the keys under secrets of the pod's ServiceAccount)",
            id="no folder",
        ),
    ],
)
async def test_what_goes_wrong_is_said(
    gcs: FakeGcs, tmp_path: Path, uri: str, reason: str, message: str
) -> None:
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path, stranger(gcs))
    assert caught.value.message == message.format(gcs=gcs.endpoint)
    assert caught.value.reason == reason


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    known = Credentials(environ={"STORAGE_EMULATOR_HOST": "127.0.0.1:9"})
    with pytest.raises(FetchError) as caught:
        await fetch("gs://models/model", tmp_path, known)
    assert caught.value.reason == "StorageUnavailable"
    assert caught.value.message == (
        "http://127.0.0.1:9 cannot be reached for gs://models/model: connection refused "
        "(asked without credentials)"
    )


def issuer(request: web.Request) -> str:
    """Tell who signed the token that a request brings."""
    scheme, _, token = request.headers["Authorization"].partition(" ")
    assert scheme == "Bearer"
    body = token.split(".")[1]
    padded = body + "=" * (-len(body) % 4)
    return str(json.loads(base64.urlsafe_b64decode(padded))["iss"])


async def test_a_service_account_logs_in_and_a_rotated_one_too(
    gcs: FakeGcs, private_key: str, tmp_path: Path
) -> None:
    seen: list[str] = []

    async def forward(request: web.Request) -> web.Response:
        seen.append(issuer(request))
        url = URL(f"{gcs.endpoint}{request.raw_path}", encoded=True)
        async with ClientSession() as session, session.request(request.method, url) as answer:
            kept = {"ETag", "Last-Modified", "Content-Length", "Content-Range"}
            headers = {name: answer.headers[name] for name in kept if name in answer.headers}
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)

    async with serving(forward) as url:
        environ = {"STORAGE_EMULATOR_HOST": url}
        for email in ("old@example.com", "new@example.com"):
            known = Credentials(key_file(private_key, email).secrets, environ=environ)
            assert await fetch("gs://models/model/x+y", tmp_path / email, known) == {"x+y": b"5"}
    assert dict.fromkeys(seen) == {"old@example.com": None, "new@example.com": None}


async def test_a_service_account_that_is_refused_is_named(
    private_key: str, tmp_path: Path
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        said = "<Error><Code>AccessDenied</Code><Message>Access denied.</Message></Error>"
        return web.Response(text=said, status=403)

    async with serving(refuse) as url:
        known = key_file(private_key)
        known = Credentials(known.secrets, environ={"STORAGE_EMULATOR_HOST": url})
        with pytest.raises(FetchError) as caught:
            await fetch("gs://models/model", tmp_path, known)
    assert caught.value.reason == "CredentialsRefused"
    assert caught.value.message == (
        f"{WHO}: {url} refused robot@example.com for gs://models/model: "
        "AccessDenied: Access denied. (403)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("nonsense", "is no JSON", id="no JSON"),
        pytest.param("[]", "is no object", id="no object"),
        pytest.param("{}", "Secret ns/gcs: ", id="no key"),
        pytest.param('{"private_key": "x", "client_email": "e"}', WHO, id="broken key"),
    ],
)
async def test_a_key_that_is_none_is_refused(
    gcs: FakeGcs, tmp_path: Path, text: str, message: str
) -> None:
    holder = Holder(WHO, {"gcloud-application-credentials.json": text}, {})
    with pytest.raises(FetchError, match=message) as caught:
        await fetch("gs://models/model", tmp_path, at(gcs, Credentials((holder,))))
    assert caught.value.reason == "CredentialsRefused"
    assert text not in caught.value.message


async def test_a_workload_identity_asks_the_metadata_server(
    gcs: FakeGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def metadata(request: web.Request) -> web.Response:
        assert request.headers["Metadata-Flavor"] == "Google"
        asked.append(request.path)
        return web.json_response({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"})

    account = Holder("ServiceAccount ns/a", {}, {"iam.gke.io/gcp-service-account": "r@p"})
    environ = {"STORAGE_EMULATOR_HOST": gcs.endpoint}
    async with serving(metadata) as url:
        # Read by the client library, out of this process's environment.
        monkeypatch.setenv("GCE_METADATA_HOST", url.partition("//")[2])
        known = Credentials(account=account, environ=environ)
        assert await fetch("gs://models/model", tmp_path, known) == MODEL
    assert asked == ["/computeMetadata/v1/instance/service-accounts/default/token"]
