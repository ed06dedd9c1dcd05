"""Models in file shares of Azure: a fake, since neither Azure nor Azurite's can be had."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError, Kind
from shoal.storage.limits import Limits
from support.azureshares import KEY, SAS, TOKEN, FakeShares, shares
from support.fetches import Terms, fetch, fingerprint

URI = "https://shoal.file.core.windows.net/models"
WHO = "Secret ns/azure"
LARGE = hashlib.shake_256(b"seed").digest(17_000_000)  # more than one range
MODEL = {
    "a": b"a",
    "empty": b"",
    "sub dir/100%.bin": b"x",
    "sub dir/é/&+": LARGE,
    "odd\ufffe": b"o",
}


@pytest.fixture
async def site() -> AsyncIterator[FakeShares]:
    async with shares() as made:
        made.files = {f"iris/{key}": body for key, body in MODEL.items()}
        made.files |= {"iris2/c": b"neighbour"}
        made.folders |= {"iris/without files"}
        yield made


def known(site: FakeShares, **data: str) -> Credentials:
    return Credentials((Holder(WHO, site.secret(**data), {}),))


@pytest.mark.parametrize(
    ("query", "data"),
    [
        pytest.param("", {"AZURE_STORAGE_ACCESS_KEY": KEY}, id="key"),
        pytest.param("", {"AZURE_STORAGE_SAS_TOKEN": f"?{SAS}"}, id="signed token"),
        pytest.param("", {"AZURE_ACCESS_TOKEN": TOKEN}, id="access token"),
        pytest.param(f"?{SAS}", {"AZURE_STORAGE_ACCESS_KEY": "d3Jvbmc="}, id="signed link"),
    ],
)
async def test_a_folder_brings_its_files_and_no_neighbours(
    site: FakeShares, query: str, data: dict[str, str], tmp_path: Path
) -> None:
    assert await fetch(f"{URI}/iris{query}", tmp_path, known(site, **data)) == MODEL
    assert len({each for each in site.ranges if each}) > 1
    assert any(each.endswith(" 2") for each in site.asked)


async def test_one_file_keeps_its_name(site: FakeShares, tmp_path: Path) -> None:
    secret = known(site, AZURE_STORAGE_ACCESS_KEY=KEY)
    uri = f"{URI}/iris/sub%20dir/100%25.bin"
    assert await fetch(uri, tmp_path, secret) == {"100%.bin": b"x"}


async def test_a_whole_share_may_be_the_model(site: FakeShares, tmp_path: Path) -> None:
    site.files = {"a": b"1", "b/c": b"2"}
    assert await fetch(URI, tmp_path, known(site, AZURE_STORAGE_ACCESS_KEY=KEY)) == site.files


async def test_a_changed_file_changes_the_fingerprint(site: FakeShares) -> None:
    secret = known(site, AZURE_STORAGE_ACCESS_KEY=KEY)
    first = await fingerprint(f"{URI}/iris", secret)
    assert await fingerprint(f"{URI}/iris", secret) == first
    site.files["iris/a"] = b"b"
    assert await fingerprint(f"{URI}/iris", secret) != first


async def test_a_file_that_changes_meanwhile_is_not_mixed(
    site: FakeShares, tmp_path: Path
) -> None:
    secret = known(site, AZURE_STORAGE_ACCESS_KEY=KEY)
    site.replaced = {"iris/sub dir/é/&+": LARGE[::-1]}
    with pytest.raises(FetchError, match="changed while it was downloaded") as caught:
        await fetch(f"{URI}/iris", tmp_path, secret)
    assert caught.value.kind is Kind.TRANSIENT


ADVICE = "list a Secret with the keys under secrets of the pod's ServiceAccount"


@pytest.mark.parametrize(
    ("path", "data", "reason", "message"),
    [
        pytest.param(
            "models/iris",
            {"AZURE_STORAGE_ACCESS_KEY": "d3Jvbmc="},
            "CredentialsRefused",
            "{who}: {url} refused the key of account shoal for {uri}: AuthenticationFailed: "
            "Server failed to authenticate (403)",
            id="wrong key",
        ),
        pytest.param(
            "models/iris",
            {"AZURE_STORAGE_ACCESS_KEY": "no base64"},
            "CredentialsRefused",
            "{who}: {url} refused the key of account shoal for {uri}: the key is not base64 (403)",
            id="no key",
        ),
        pytest.param(
            "models/iris/",
            {"AZURE_CLIENT_SECRET": "s", "AZURE_CLIENT_ID": "app"},
            "CredentialsNotFound",
            "{who}: {uri} is in a file share, which needs AZURE_STORAGE_ACCESS_KEY, "
            "AZURE_STORAGE_SAS_TOKEN or AZURE_ACCESS_TOKEN; client app is not used for it",
            id="service principal",
        ),
        pytest.param(
            "models/none",
            {"AZURE_STORAGE_ACCESS_KEY": KEY},
            "ModelNotFound",
            "{uri}: no such object or folder at {url}: ResourceNotFound: The resource does not "
            "exist. (asked with {who})",
            id="nothing there",
        ),
        pytest.param(
            "models/iris/without%20files",
            {"AZURE_STORAGE_ACCESS_KEY": KEY},
            "ModelNotFound",
            "{uri}: no such object or folder at {url} (asked with {who})",
            id="no file",
        ),
        pytest.param(
            "other/iris",
            {"AZURE_STORAGE_ACCESS_KEY": KEY},
            "ModelNotFound",
            "{uri}: no such object or folder at {url}: ShareNotFound: The share does not exist. "
            "(asked with {who})",
            id="no share",
        ),
    ],
)
async def test_what_fails_says_what_to_do(
    site: FakeShares, path: str, data: dict[str, str], reason: str, message: str, tmp_path: Path
) -> None:
    uri = f"https://shoal.file.core.windows.net/{path}"
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path, known(site, **data))
    assert caught.value.message == message.format(who=WHO, url=site.url, uri=uri)
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, reason)


async def test_a_stranger_is_told_what_is_missing(site: FakeShares, tmp_path: Path) -> None:
    environ = {"AZURE_STORAGE_FILE_ENDPOINT": site.url}
    with pytest.raises(FetchError, match=r"refused anonymous access .*; list a Secret") as caught:
        await fetch(f"{URI}/iris", tmp_path, Credentials(environ=environ))
    assert caught.value.reason == "CredentialsNotFound"


async def test_signatures_are_in_no_message(site: FakeShares, tmp_path: Path) -> None:
    environ = Credentials(environ={"AZURE_STORAGE_FILE_ENDPOINT": site.url})
    with pytest.raises(FetchError) as caught:
        await fetch(f"{URI}/iris?sv=1&sig=hidden", tmp_path, environ)
    assert "hidden" not in caught.value.message
    assert caught.match("^the address: http://.* refused its SAS token for https://shoal.file")


async def test_too_many_files_are_refused(site: FakeShares, tmp_path: Path) -> None:
    secret = known(site, AZURE_STORAGE_ACCESS_KEY=KEY)
    with pytest.raises(FetchError, match="more than 3 files"):
        await fetch(f"{URI}/iris", tmp_path, secret, terms=Terms(limits=Limits(files=3)))
