"""What an operator's process is told, and what it says when it is told wrong."""

import pytest

from shoal.settings import SettingsError
from support import builders


def test_the_defaults() -> None:
    made = builders.process()
    assert (made.watch_namespaces, made.admin_port, made.leader_election) == ((), 8080, True)
    assert (made.workers, made.relist_seconds, made.log_level) == (8, 600, "INFO")
    assert made.may_grant_secrets("anywhere")


def test_lists_are_comma_separated() -> None:
    made = builders.process({"SHOAL_WATCH_NAMESPACES": " a, b,", "SHOAL_SECRET_NAMESPACES": "b"})
    assert made.watch_namespaces == ("a", "b")
    assert [made.may_grant_secrets(name) for name in ("a", "b")] == [False, True]


def test_no_secrets_at_all() -> None:
    assert not builders.process({"SHOAL_SECRET_NAMESPACES": ""}).may_grant_secrets("a")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SHOAL_LEADER_ELECTION", "perhaps"),
        ("SHOAL_WORKERS", "many"),
        ("SHOAL_RELIST_SECONDS", "0"),
        ("SHOAL_IMAGE", ""),
        ("SHOAL_NAMESPACE", ""),
        ("SHOAL_POD_NAME", ""),
    ],
)
def test_a_wrong_variable_is_named(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=key):
        builders.process({key: value})


def test_leader_election_can_be_off() -> None:
    assert not builders.process({"SHOAL_LEADER_ELECTION": "False"}).leader_election
