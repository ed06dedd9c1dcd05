"""The images of the model servers: each is built from its own folder, so some files are copies."""

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from contract.conftest import CHECKOUT

SERVERS = CHECKOUT / "servers"
FOLDERS = sorted(path.parent for path in SERVERS.glob("*/Dockerfile"))


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", path.read_text(), re.MULTILINE))


def copied(folder: Path) -> set[str]:
    lines = re.findall(r"^COPY (?!--)(.*) \S+$", (folder / "Dockerfile").read_text(), re.MULTILINE)
    return {word for line in lines for word in line.split()}


def let_in(folder: Path) -> set[str]:
    return set(re.findall(r"^!(\S+)$", (folder / ".dockerignore").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["modelfiles.py", "drain.sh"])
def test_copies_are_equal(name: str) -> None:
    contents = [path.read_text() for path in SERVERS.glob(f"*/{name}")]
    assert len(contents) >= 2
    assert len(set(contents)) == 1


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_context_is_what_is_copied(folder: Path) -> None:
    assert copied(folder)
    assert copied(folder) == let_in(folder)
    assert all((folder / name).exists() for name in copied(folder))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_is_required_is_what_is_locked(folder: Path) -> None:
    required = pins(folder / "requirements.in")
    assert required
    assert required.items() <= pins(folder / "requirements.lock").items()


@pytest.mark.parametrize("name", ["mlserver", "kserve-sdk"])
def test_the_images_have_the_scikit_learn_that_trains(name: str) -> None:
    trains = pins(CHECKOUT / "requirements" / "dev.lock")
    image = pins(SERVERS / name / "requirements.lock")
    for package in ("scikit-learn", "joblib"):
        assert image[package] == trains[package]


def test_no_image_has_cuda() -> None:
    for folder in FOLDERS:
        installed = [
            line
            for line in (folder / "requirements.lock").read_text().splitlines()
            if "==" in line and "'never'" not in line
        ]
        assert not [line for line in installed if re.match(r"(xgboost|nvidia-nccl.*)==", line)]


def _drained(log: Path, server: str) -> tuple[int, float]:
    """Run a server, send SIGTERM as soon as it is up; return its status, and when that was."""
    with subprocess.Popen(  # noqa: S603 - our own file
        [SERVERS / "mlserver" / "drain.sh", "sh", "-c", server],
        env={"DRAIN_SECONDS": "0.5", "LOG": str(log)},
        start_new_session=True,
    ) as running:
        try:
            while not log.exists():
                assert running.poll() is None
            begun = time.time()
            running.terminate()
            return running.wait(20), begun
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


def test_a_server_answers_on_for_a_while_after_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    told = 'echo "told $(date +%s.%N)" >> $LOG; exit 3'
    status, begun = _drained(
        log, f"trap '{told}' TERM; echo up >> $LOG; while :; do sleep 0.05; done"
    )
    assert status == 3
    up, told = log.read_text().splitlines()
    assert up == "up"
    word, at = told.split()
    assert word == "told"
    assert float(at) - begun >= 0.5


def test_a_server_that_ends_while_it_leaves_keeps_its_exit_status(tmp_path: Path) -> None:
    status, _ = _drained(tmp_path / "log", "echo up >> $LOG; sleep 0.1; exit 7")
    assert status == 7


def test_a_server_that_ends_by_itself_keeps_its_exit_status() -> None:
    done = subprocess.run(  # noqa: S603 - our own file
        [SERVERS / "mlserver" / "drain.sh", "sh", "-c", "exit 5"], check=False, timeout=20
    )
    assert done.returncode == 5
