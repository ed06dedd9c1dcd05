"""What counts as refused: a right that was asked for and not given, nor given just after."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.audits import Audit

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
USER = "system:serviceaccount:ns:server-sa"


def _entry(second: float, decision: str, path: str = "/api/v1/namespaces/ns/secrets/a") -> str:
    entry = {
        "verb": "get",
        "requestURI": path,
        "stageTimestamp": f"2026-01-01T00:00:{second:09.6f}Z",
        "user": {"username": USER},
        "annotations": {"authorization.k8s.io/decision": decision},
    }
    return json.dumps(entry, separators=(",", ":")) + "\n"


@pytest.mark.parametrize(
    ("entries", "refused"),
    [
        ([_entry(1, "allow")], 0),
        ([_entry(1, "forbid")], 1),
        ([_entry(1, "forbid"), _entry(1.5, "allow")], 0),
        ([_entry(1, "forbid"), _entry(4, "allow")], 1),
        ([_entry(1, "allow"), _entry(1.5, "forbid")], 1),
        ([_entry(1, "forbid"), _entry(1.5, "allow", "/api/v1/namespaces/ns/secrets/b")], 1),
        ([_entry(1, "forbid"), _entry(1.5, "allow").rstrip("\n")[:-5]], 1),
    ],
    ids=["allowed", "refused", "granted", "late", "before", "another", "half-written"],
)
def test_what_is_granted_a_moment_later_was_not_refused(
    tmp_path: Path, entries: list[str], refused: int
) -> None:
    (tmp_path / "audit.log").write_text("".join(entries))
    audit = Audit(tmp_path, SINCE)
    assert audit.refused("system:serviceaccount:ns") == refused * [
        "get /api/v1/namespaces/ns/secrets/a"
    ]


@pytest.mark.parametrize(
    ("users", "refused"),
    [((), 1), (("system:serviceaccount:other:", USER[:-2]), 1), (("system:node:",), 2)],
    ids=["everybody", "this one", "another"],
)
def test_what_is_refused_in_a_gap_is_left_out(
    tmp_path: Path, users: tuple[str, ...], refused: int
) -> None:
    (tmp_path / "audit.log").write_text(_entry(2, "forbid") + _entry(9, "forbid"))
    audit = Audit(tmp_path, SINCE)
    moments = iter((SINCE.replace(second=1), SINCE.replace(second=3)))
    with audit.gap(lambda: next(moments), *users):
        pass
    assert len(audit.refused(USER)) == refused
