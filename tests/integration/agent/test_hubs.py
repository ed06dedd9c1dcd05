"""Models on the Hugging Face Hub: a mock, since the hub itself cannot be had."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError
from support.fetches import fetch, fingerprint
from support.hubs import FakeHub, hub

WHO = "Secret ns/hf"
LARGE = hashlib.shake_256(b"seed").digest(17_000_000)  # more than one range
FILES = {"config.json": b"{}", "sub dir/100%.bin": b"x", "model.safetensors": LARGE}


@pytest.fixture
async def site() -> AsyncIterator[FakeHub]:
    async with hub() as made:
        made.models["org/model"] = {"main": FILES, "v1.0": {"a": b"old"}}
        made.models["org/secret"] = {"main": {"a": b"secret"}}
        made.models["org/gated"] = {"main": {"a": b"gated"}}
        made.private.add("org/secret")
        made.gated.add("org/gated")
        yield made


def known(site: FakeHub, token: str = "") -> Credentials:
    environ = {"HF_ENDPOINT": site.url}
    holder = Holder(WHO, {"HF_TOKEN": token}, {})
    return Credentials((holder,) if token else (), environ=environ)


async def test_a_model_brings_its_files(site: FakeHub, tmp_path: Path) -> None:
    assert await fetch("hf://org/model", tmp_path, known(site)) == FILES
    small, large = site.ranges.count(""), [each for each in site.ranges if each]
    assert (small, len(large) > 1, len(set(large))) == (2, True, len(large))


async def test_a_revision_is_a_tag_or_a_commit(site: FakeHub, tmp_path: Path) -> None:
    assert await fetch("hf://org/model:v1.0", tmp_path / "tag", known(site)) == {"a": b"old"}
    commit = site.commit("org/model", "v1.0")
    found = await fetch(f"hf://org/model:{commit}", tmp_path / "commit", known(site))
    assert found == {"a": b"old"}


async def test_a_private_model_needs_the_token(site: FakeHub, tmp_path: Path) -> None:
    found = await fetch("hf://org/secret", tmp_path, known(site, "hf_good"))
    assert found == {"a": b"secret"}


async def test_a_server_without_ranges_will_do(site: FakeHub, tmp_path: Path) -> None:
    site.ignores_ranges = True
    assert await fetch("hf://org/model", tmp_path, known(site)) == FILES


async def test_a_new_commit_changes_the_fingerprint(site: FakeHub) -> None:
    first = await fingerprint("hf://org/model", known(site))
    assert await fingerprint("hf://org/model", known(site)) == first
    site.models["org/model"]["main"] = FILES | {"config.json": b"{1}"}
    assert await fingerprint("hf://org/model", known(site)) != first


LIST = "list a Secret with HF_TOKEN under secrets of the pod's ServiceAccount"


@pytest.mark.parametrize(
    ("uri", "token", "reason", "message"),
    [
        pytest.param(
            "hf://org/model",
            "hf_bad",
            "CredentialsRefused",
            "{who}: {hub} refused its token for hf://org/model: Invalid credentials in "
            "Authorization header (401)",
            id="wrong token",
        ),
        pytest.param(
            "hf://org/gated",
            "",
            "CredentialsNotFound",
            "no credentials: {hub} refused anonymous access for hf://org/gated: Access to model "
            "org/gated is restricted. You must be authenticated to access it. (401); {list}",
            id="gated",
        ),
        pytest.param(
            "hf://org/secret",
            "",
            "ModelNotFound",
            "hf://org/secret: not found at {hub}: Repository not found (asked without a token; "
            "{list})",
            id="private: hidden from strangers",
        ),
        pytest.param(
            "hf://org/none",
            "hf_good",
            "ModelNotFound",
            "hf://org/none: not found at {hub}: Repository not found (asked with {who})",
            id="no such model",
        ),
        pytest.param(
            "hf://org/model:v9",
            "hf_good",
            "ModelNotFound",
            "hf://org/model:v9: not found at {hub}: Invalid rev id: v9 (asked with {who})",
            id="no such revision",
        ),
    ],
)
async def test_what_goes_wrong_is_said(
    site: FakeHub, tmp_path: Path, uri: str, token: str, reason: str, message: str
) -> None:
    with pytest.raises(FetchError) as caught:
        await fetch(uri, tmp_path, known(site, token))
    assert caught.value.reason == reason
    assert caught.value.message == message.format(who=WHO, hub=site.url, list=LIST)


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    away = Credentials(environ={"HF_ENDPOINT": "http://127.0.0.1:9"})
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:9 cannot be reached") as caught:
        await fetch("hf://org/model", tmp_path, away)
    assert caught.value.reason == "StorageUnavailable"


async def test_a_rotated_token_counts_at_the_next_try(site: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="refused its token"):
        await fetch("hf://org/secret", tmp_path / "old", known(site, "hf_bad"))
    found = await fetch("hf://org/secret", tmp_path / "new", known(site, "hf_good"))
    assert found == {"a": b"secret"}
