"""Last: what the operator may do is what it did in all the tests before, no more and no less."""

import pytest

from e2e.conftest import SYSTEM, Namespaces
from support.audits import Audit, Use, granted
from support.terminals import Terminal

USER = f"system:serviceaccount:{SYSTEM}:shoal"
AGENTS = "system:serviceaccount:e2e-"
# Any account may ask what there is, and whether it may do a thing.
FREE = {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}


def _role(terminal: Terminal, what: str) -> set[Use]:
    return granted(terminal.get(what))


def _rights(terminal: Terminal) -> set[Use]:
    roles = ("clusterrole/shoal", "clusterrole/shoal-cluster", f"-n {SYSTEM} role/shoal-own")
    return {use for role in roles for use in _role(terminal, role)}


@pytest.fixture(scope="module")
def used(audit: Audit) -> set[Use]:
    return {use for use in audit.uses(USER) if use.resource not in FREE}


def _whole_ring(request: pytest.FixtureRequest) -> bool:
    """Say whether all files of this ring ran: a part of them uses a part of the rights."""
    folder = request.path.parent
    ran = {item.path for item in request.session.items}
    return set(folder.glob("test_*.py")) <= ran and not request.config.option.keyword


def test_nothing_was_refused_to_the_operator(audit: Audit) -> None:
    assert audit.refused(USER) == []


def test_nothing_was_refused_to_an_agent(audit: Audit, namespaces: Namespaces) -> None:
    namespaces.wait()
    assert audit.refused(AGENTS) == []


def test_all_that_is_used_is_granted(terminal: Terminal, used: set[Use]) -> None:
    rights = _rights(terminal)
    assert sorted(used - rights) == []


def test_all_that_is_granted_is_used(
    terminal: Terminal, used: set[Use], request: pytest.FixtureRequest
) -> None:
    rights = _rights(terminal)
    if _whole_ring(request):
        assert sorted(rights - used) == []


def test_what_is_only_passed_on_is_never_used(terminal: Terminal, used: set[Use]) -> None:
    names = ("shoal-grants", "shoal-grants-secrets")
    held = {use for name in names for use in _role(terminal, f"clusterrole/{name}")}
    assert held
    assert sorted(held & used) == []
