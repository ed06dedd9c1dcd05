from pathlib import Path

import pytest

from shoal.agent import commands
from shoal.agent.commands import UsageError
from shoal.settings import FetchSettings, SettingsError


def test_pairs_of_address_and_folder() -> None:
    pairs = commands.parse(["s3://b/m", "/a", "hf://o/m:v1", "/b"])
    assert [(location.uri, folder) for location, folder in pairs] == [
        ("s3://b/m", Path("/a")),
        ("hf://o/m:v1", Path("/b")),
    ]


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


def test_nothing_needs_to_be_set_outside_of_a_cluster() -> None:
    settings = FetchSettings.parse({})
    assert (settings.namespace, settings.service_account) == ("", "default")
    assert settings.termination_log == "/dev/termination-log"


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="SHOAL_FETCH_PATIENCE_SECONDS: 'x' is no number"):
        FetchSettings.parse({"SHOAL_FETCH_PATIENCE_SECONDS": "x"})
