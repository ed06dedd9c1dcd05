"""Models in Azure Blob Storage, from a real Azurite; no agent around them."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError
from support.fetches import fetch, fingerprint
from support.stores import Azurite

HOST = "https://shoal.blob.core.windows.net"
WRONG = base64.b64encode(b"wrong").decode()
WHO = "Secret ns/azure"
ODD = {"a b": b"1", "ü/é": b"2", "100%": b"3", "p%20q": b"4", "x+y": b"5", "deep/er/f": b"6"}


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    made = Azurite.make(tmp_path_factory.mktemp("azurite"))
    for key, content in {"a": b"a", "1/b": b"b"}.items():
        made.put(f"model/{key}", content)
    for key, content in ODD.items():
        made.put(f"odd/{key}", content)
    made.put("model2/c", b"neighbour")
    yield made
    made.process.end()


def secret(data: dict[str, str]) -> Credentials:
    return Credentials((Holder(WHO, data, {}),))


@pytest.mark.weakness("M17")
@pytest.mark.parametrize(
    "uri",
    [
        pytest.param(f"{HOST}/models/model", id="link"),
        pytest.param(f"{HOST}/models/model/", id="link to a folder"),
        pytest.param("az://models/model", id="az"),
    ],
)
async def test_a_folder_brings_its_files_and_no_neighbours(
    azurite: Azurite, tmp_path: Path, uri: str
) -> None:
    assert await fetch(uri, tmp_path, secret(azurite.secret())) == {"a": b"a", "1/b": b"b"}


async def test_one_blob_keeps_its_name(azurite: Azurite, tmp_path: Path) -> None:
    known = secret(azurite.secret())
    assert await fetch("az://models/model/1/b", tmp_path / "az", known) == {"b": b"b"}
    assert await fetch(f"{HOST}/models/model/a", tmp_path / "link", known) == {"a": b"a"}


async def test_odd_names_arrive_as_they_are(azurite: Azurite, tmp_path: Path) -> None:
    known = secret(azurite.secret())
    assert await fetch("az://models/odd", tmp_path / "all", known) == ODD
    assert await fetch("az://models/odd/p%20q", tmp_path / "az", known) == {"p%20q": b"4"}
    link = f"{HOST}/models/odd/p%2520q"
    assert await fetch(link, tmp_path / "link", known) == {"p%20q": b"4"}


async def test_folder_markers_are_no_files(azurite: Azurite, tmp_path: Path) -> None:
    for key in ("marked/", "marked/sub/", "marked/sub/f"):
        azurite.put(key, b"f" if key.endswith("f") else b"")
    known = secret(azurite.secret())
    assert await fetch("az://models/marked", tmp_path, known) == {"sub/f": b"f"}


async def test_a_changed_blob_changes_the_fingerprint(azurite: Azurite) -> None:
    azurite.put("changing/a", b"one")
    known = secret(azurite.secret())
    first = await fingerprint("az://models/changing", known)
    assert await fingerprint("az://models/changing", known) == first
    azurite.put("changing/a", b"two")
    assert await fingerprint("az://models/changing", known) != first


async def test_a_public_container_needs_no_key(azurite: Azurite, tmp_path: Path) -> None:
    azurite.create("public", access="container")
    azurite.put("m/a", b"x", container="public")
    known = Credentials(environ={"AZURE_STORAGE_ENDPOINT": azurite.endpoint})
    assert await fetch(f"{HOST}/public/m", tmp_path, known) == {"a": b"x"}


async def test_a_signed_link_and_a_signed_token_log_in(azurite: Azurite, tmp_path: Path) -> None:
    token = azurite.sas()
    nothing = Credentials(environ={"AZURE_STORAGE_ENDPOINT": azurite.endpoint})
    link = f"{HOST}/models/model?{token}"
    assert len(await fetch(link, tmp_path / "link", nothing)) == 2
    data = azurite.secret(AZURE_STORAGE_SAS_TOKEN=f"?{token}")
    del data["AZURE_STORAGE_ACCESS_KEY"]
    assert len(await fetch("az://models/model", tmp_path / "token", secret(data))) == 2


@pytest.mark.parametrize(
    ("uri", "change", "reason", "message"),
    [
        pytest.param(
            "az://models/model",
            {"AZURE_STORAGE_ACCESS_KEY": WRONG},
            "CredentialsRefused",
            "{secret}: {endpoint} refused the key of account shoal for az://models/model: "
            "AuthorizationFailure: Server failed to authenticate the request. Make sure the "
            "value of the Authorization header is formed correctly including the signature. "
            "(403)",
            id="wrong key",
        ),
        pytest.param(
            "az://models/model",
            {"AZURE_STORAGE_ACCESS_KEY": "no base64!"},
            "CredentialsRefused",
            "{secret}: Generic MicrosoftAzure error: Invalid Access Key: Invalid symbol 32, "
            "offset 2.",
            id="no key at all",
        ),
        pytest.param(
            "az://models/model",
            {"AZURE_STORAGE_ACCESS_KEY": "", "AZURE_CLIENT_SECRET": "s"},
            "CredentialsRefused",
            "{secret}: AZURE_CLIENT_SECRET needs AZURE_CLIENT_ID and AZURE_TENANT_ID beside it",
            id="half a service principal",
        ),
        pytest.param(
            "az://models/model",
            {"AZURE_STORAGE_ACCOUNT_NAME": ""},
            "CredentialsNotFound",
            "az://models/model: nothing names the storage account; write it as "
            "https://ACCOUNT.blob.core.windows.net/models/…, or give the Secret the key "
            "AZURE_STORAGE_ACCOUNT_NAME",
            id="no account",
        ),
        pytest.param(
            "az://nowhere/model",
            {},
            "ModelNotFound",
            "az://nowhere/model: no such object or folder at {endpoint}: ContainerNotFound: The "
            "specified container does not exist. (asked with {secret})",
            id="no container",
        ),
        pytest.param(
            "az://models/mode",
            {},
            "ModelNotFound",
            "az://models/mode: no such object or folder at {endpoint} (asked with {secret})",
            id="no folder",
        ),
        pytest.param(
            "az://models/model",
            {"AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:9/shoal"},
            "StorageUnavailable",
            "http://127.0.0.1:9/shoal cannot be reached for az://models/model: connection "
            "refused (asked with {secret})",
            id="nobody there",
        ),
    ],
)
async def test_what_goes_wrong_is_said(
    azurite: Azurite, tmp_path: Path, uri: str, change: dict[str, str], reason: str, message: str
) -> None:
    known = secret(azurite.secret(**change))
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path, known)
    assert caught.value.reason == reason
    assert caught.value.message == message.format(secret=WHO, endpoint=azurite.endpoint)


async def test_a_rotated_key_counts_at_the_next_try(azurite: Azurite, tmp_path: Path) -> None:
    old = secret(azurite.secret(AZURE_STORAGE_ACCESS_KEY=WRONG))
    with pytest.raises(FetchError, match="refused the key of account shoal"):
        await fetch("az://models/model", tmp_path / "old", old)
    assert len(await fetch("az://models/model", tmp_path / "new", secret(azurite.secret()))) == 2


async def test_a_private_container_says_that_nothing_was_shown(
    azurite: Azurite, tmp_path: Path
) -> None:
    known = Credentials(environ={"AZURE_STORAGE_ENDPOINT": azurite.endpoint})
    with pytest.raises(FetchError, match="list a Secret with the keys") as caught:
        await fetch(f"{HOST}/models/model", tmp_path, known)
    assert caught.value.reason == "CredentialsNotFound"


async def test_a_wrong_signature_stays_out_of_the_message(
    azurite: Azurite, tmp_path: Path
) -> None:
    token = azurite.sas(key=WRONG)
    known = Credentials(environ={"AZURE_STORAGE_ENDPOINT": azurite.endpoint})
    with pytest.raises(FetchError, match="the address: ") as caught:
        await fetch(f"{HOST}/models/model?{token}", tmp_path, known)
    assert caught.value.reason == "CredentialsRefused"
    assert token.rpartition("sig=")[2] not in caught.value.message
