import io
import json
import logging

import pytest

from shoal import logs


def line(record: logging.LogRecord) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(logs.JsonFormatter().format(record))
    return parsed


def test_a_record_is_one_object_with_level_time_and_extras() -> None:
    record = logging.makeLogRecord(
        {"name": "shoal.agent", "levelno": 20, "levelname": "INFO", "msg": "loaded model %s"}
        | {"args": ("a",), "created": 0.5, "model": "a"}
    )
    assert line(record) == {
        "level": "info",
        "time": "1970-01-01T00:00:00.500Z",
        "logger": "shoal.agent",
        "message": "loaded model a",
        "model": "a",
    }


def test_a_record_about_an_object_names_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        logging.getLogger("x").info("made it", extra=logs.subject("default", "a"))

    made = line(caplog.records[0])

    assert (made["logger"], made["namespace"], made["name"]) == ("x", "default", "a")


def test_an_exception_stays_on_the_line() -> None:
    error = KeyError("x")
    record = logging.makeLogRecord({"exc_info": (KeyError, error, None)})
    assert "KeyError: 'x'" in str(line(record)["exception"])


def test_install_writes_lines_from_a_level_on() -> None:
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.level, root.handlers[:])
    root.handlers[:] = []
    try:
        logs.install("WARNING", stream)
        logging.getLogger("x").info("no")
        logging.getLogger("x").warning("yes")
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]
    assert [json.loads(text)["message"] for text in stream.getvalue().splitlines()] == ["yes"]
