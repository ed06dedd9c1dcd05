from pathlib import Path

import pytest

from shoal.agent import commands
from shoal.agent.commands import UsageError
from shoal.settings import FetchSettings, SettingsError

DIGEST = "sha256:" + "0" * 64


def test_pairs_of_address_and_folder() -> None:
    words = ["s3://b/m", "/a", "hf://o/m:v1", "/b"]
    assert commands.parse(words) == [("s3://b/m", Path("/a")), ("hf://o/m:v1", Path("/b"))]


def test_a_path_of_a_storage_spec_is_an_address_where_there_is_one() -> None:
    words = ["storage://a/b", "/a"]
    assert commands.parse(words, "{}") == [("storage://a/b", Path("/a"))]
    with pytest.raises(UsageError, match="'storage://a/b' starts with none of"):
        commands.parse(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param([], "each followed by a folder", id="none"),
        pytest.param(["s3://b/m"], "each followed by a folder", id="no-folder"),
        pytest.param(["s3://b/m", "/a", "s3://b/n", "/a/"], "/a: is named twice", id="twice"),
        pytest.param(["oci://b/m", "/a"], "'oci://b/m' starts with none of", id="scheme"),
        pytest.param(["https://u:p@/x", "/a"], "'https:///x' names no host", id="no-secret-told"),
    ],
)
def test_bad_arguments(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        commands.parse(words)


@pytest.mark.parametrize(
    ("digest", "models", "message"),
    [
        pytest.param("md5:12", 1, "SHOAL_ARTIFACT_DIGEST: must be 'sha256:'", id="malformed"),
        pytest.param(DIGEST, 2, "is of one model, and 2 are named; name one", id="of-which"),
    ],
)
def test_a_digest_that_promises_nothing(digest: str, models: int, message: str) -> None:
    pairs = [("s3://b/m", Path(f"/{number}")) for number in range(models)]
    with pytest.raises(UsageError, match=message):
        commands.check_digest(digest, pairs)
    commands.check_digest(DIGEST, pairs[:1])
    commands.check_digest("", pairs)


def test_nothing_needs_to_be_set_outside_of_a_cluster() -> None:
    settings = FetchSettings.parse({})
    assert (settings.namespace, settings.service_account) == ("", "default")
    assert settings.termination_log == "/dev/termination-log"


def test_a_cache_has_the_name_of_its_folder_where_no_other_is_told() -> None:
    given = {"SHOAL_MODEL_CACHE": "/c"}
    assert FetchSettings.parse(given).cache_name == "/c"
    given["SHOAL_MODEL_CACHE_NAME"] = "pvc://claim"
    settings = FetchSettings.parse(given)
    assert (settings.cache_dir, settings.cache_name) == ("/c", "pvc://claim")


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="SHOAL_FETCH_PATIENCE_SECONDS: 'x' is no number"):
        FetchSettings.parse({"SHOAL_FETCH_PATIENCE_SECONDS": "x"})
