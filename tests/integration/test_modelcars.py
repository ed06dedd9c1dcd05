"""The script of the sidecar that a model in an image comes by, run by a shell; no API server."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.desired import modelcars

SHELL = shutil.which("sh") or "sh"


class Image:
    """A folder with a model, and the script as the sidecar runs it."""

    def __init__(self, folder: Path) -> None:
        self.models, self.link = folder / "models", folder / "links" / "models"
        self.link.parent.mkdir()
        self.running: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        words = [SHELL, "-c", modelcars.SCRIPT, "modelcar", str(self.models), str(self.link)]
        words += ["an/image:1", "7"]
        made = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)  # noqa: S603 - ours
        self.running.append(made)
        return made

    def leads_to(self, process: subprocess.Popen[str]) -> None:
        """Wait for the link of a process."""
        until = time.monotonic() + 10
        while not (self.link.is_symlink() and f"/{process.pid}/" in str(self.link.readlink())):
            assert time.monotonic() < until
            time.sleep(0.01)

    def refused(self) -> str:
        """Start it, and return what it says at its end."""
        process = self.start()
        _, said = process.communicate(timeout=10)
        assert process.returncode == 1
        return said


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    made = Image(tmp_path)
    yield made
    for process in made.running:
        process.kill()
        process.communicate()


def test_the_script_links_its_own_root_and_anew_when_it_is_started_again(image: Image) -> None:
    real = image.models.with_name("real")
    real.mkdir()
    (real / "model.joblib").write_text("m")
    image.models.symlink_to(real)
    for _ in range(2):
        process = image.start()
        image.leads_to(process)
        assert str(image.link.readlink()) == f"/proc/{process.pid}/root{real}"
        assert (image.link / "model.joblib").read_text() == "m"
        process.terminate()
        assert process.wait(timeout=5) == -signal.SIGTERM
        assert not image.link.exists()


def test_the_script_says_that_there_is_no_model(image: Image) -> None:
    assert image.refused() == f"an/image:1 has no folder {image.models} that user 7 may open\n"
    assert not image.link.is_symlink()


def test_the_script_leaves_the_folder_of_another_model_alone(image: Image) -> None:
    image.models.mkdir()
    image.link.mkdir()
    assert image.refused() == "an/image:1: models is a folder of another model\n"
    assert list(image.link.iterdir()) == []
