"""What a program does not import, because its start or its memory would pay for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPERATOR = Path(__file__).resolve().parents[3] / "operator"
NEEDLESS = """
import sys
import {used}
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {{{needless!r}}}))
"""


@pytest.mark.parametrize(
    ("used", "needless"),
    [
        pytest.param(
            "shoal.agent.commands, shoal.storage.objectstores, shoal.storage.s3buckets",
            "aiohttp",
            id="fetch-from-a-bucket",
        ),
        pytest.param("shoal.agent.processes", "obstore", id="agent-without-a-bucket"),
        pytest.param("shoal.agent.processes", "kopf", id="agent-no-operator"),
    ],
)
def test_what_is_not_needed_is_not_imported(used: str, needless: str) -> None:
    text = NEEDLESS.format(used=used, needless=needless)
    environ = {**os.environ, "PYTHONPATH": str(OPERATOR)}
    done = subprocess.run(  # noqa: S603 - this very Python
        [sys.executable, "-c", text], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"
