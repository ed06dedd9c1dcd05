"""A mark in the API server's log that falls into a line which is being written."""

import json
from pathlib import Path

import pytest

from integration.operator_process.audits import Audit


def _line(name: str) -> bytes:
    event = {
        "verb": "patch",
        "stage": "ResponseComplete",
        "user": {"username": "me"},
        "objectRef": {"resource": "pods", "name": name, "namespace": "ns"},
        "responseStatus": {"code": 200},
    }
    return json.dumps(event).encode() + b"\n"


@pytest.mark.parametrize(
    ("begun", "found"),
    [(b"", ["a", "b"]), (_line("a"), ["b"]), (_line("a")[:-1], ["b"]), (_line("a")[:9], ["b"])],
    ids=["empty", "between-lines", "before-the-end", "within-a-line"],
)
def test_what_comes_after_a_mark_is_found(tmp_path: Path, begun: bytes, found: list[str]) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(begun)
    audit = Audit(log, "me", "ns")
    mark = audit.mark()
    log.write_bytes(_line("a") + _line("b"))
    assert [request.name for request in audit.writes(mark)] == found
