"""Log records as one JSON object a line, with level and time, for the operator and the agent.

Keys that a call passes in `extra` (such as `model`) become keys of the object, and so do those
of `subject`, by which a record names a Kubernetes object. `__main__` installs the handler once.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

# What logging itself puts on every record; anything else came from `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SUBJECT = "subject"


def subject(namespace: str, name: str) -> dict[str, dict[str, str]]:
    """Make the `extra` of a record about an object; logging refuses a bare `name`."""
    return {_SUBJECT: {"namespace": namespace, "name": name}}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: level, time (RFC 3339, UTC), logger, message, then the extras."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line of a record."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "level": record.levelname.lower(),
            "time": time.replace("+00:00", "Z"),
            "logger": record.name,
            "message": record.getMessage(),
        }
        extras = {key: value for key, value in vars(record).items() if key not in _OWN}
        line |= extras.pop(_SUBJECT, {}) | extras
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def install_plain() -> None:
    """Send warnings to standard output as they are, for a command whose output people read."""
    handler = logging.StreamHandler(sys.stdout)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def install(level: str, stream: TextIO | None = None) -> None:
    """Send every record from `level` on to standard output, as JSON.

    Raises:
        ValueError: `level` is no level.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
