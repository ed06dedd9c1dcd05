"""Servers as a service with a model of its own starts them: told of one model, in the folder."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.api import inferenceservices
from support import builders
from support.agentrigs import Process, artefact, free_port, until
from support.serverkinds import KINDS, ServerKind

pytestmark = pytest.mark.timeout(180)


def started(kind: ServerKind, folder: Path, port: int) -> Process:
    """Make the server as the operator does; the folder is another one here."""
    body = builders.framework("sklearn", {"storageUri": "s3://b/m"}, name="iris")
    meta = {"annotations": {"serving.kserve.io/server-type": kind.name}}
    runtime = builders.runtime("sklearn", metadata=meta)
    made = builders.server(inferenceservices.parse(body), runtime).container
    told = {row["name"]: row["value"] for row in made.get("env") or []}
    argv, environ = kind.command(folder, port)
    places = {"MLSERVER_MODEL_URI": str(folder)}
    return Process([*argv, *(made.get("args") or [])], environ | told | places, folder / "../log")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / ".shoal-fetched").write_text("{}")
    return folder


@pytest.fixture(params=["mlserver", "kserve-sdk"])
def server(request: pytest.FixtureRequest, models: Path) -> Iterator[tuple[Process, int]]:
    port = free_port()
    process = started(KINDS[request.param], models, port)
    yield process, port
    process.end()


only_mlserver = pytest.mark.parametrize("server", ["mlserver"], indirect=True)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(port: int) -> float:
    tensor = {"name": "input-0", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/models/iris/infer",
        json.dumps({"inputs": [tensor]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        value: float = json.loads(answer.read())["outputs"][0]["data"][0]
        return value


def test_a_model_file_is_the_model(server: tuple[Process, int], models: Path) -> None:
    process, port = server
    (models / "model.joblib").write_bytes(artefact(3.0))
    process.start()
    until(lambda: is_ready(port), 60)
    assert ask(port) == 3.0


def test_it_is_not_ready_before_the_model_is_loaded(
    server: tuple[Process, int], models: Path
) -> None:
    process, port = server
    files = KINDS["mlserver"].make(4.0, 3.0)
    (models / "model.joblib").write_bytes(files["model.joblib"])
    process.start()
    until(lambda: is_ready(port), 60)
    assert ask(port) == 4.0


@only_mlserver
def test_a_settings_file_wins_and_the_services_name_counts(
    server: tuple[Process, int], models: Path
) -> None:
    process, port = server
    settings = {
        "name": "other",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./mine.bin"},
    }
    (models / "model-settings.json").write_text(json.dumps(settings))
    (models / "mine.bin").write_bytes(artefact(5.0))
    process.start()
    until(lambda: is_ready(port), 60)
    assert ask(port) == 5.0


def test_a_folder_without_a_model_ends_the_server_with_why(
    server: tuple[Process, int], models: Path
) -> None:
    process, _ = server
    (models / "README").write_text("no model")
    process.start()
    assert process.running is not None
    assert process.running.wait(60) != 0
    assert "no model among its files" in process.log.read_text()
