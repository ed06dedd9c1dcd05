"""What our two Python servers find in a model's folder, and what they say when they do not."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.model_servers.conftest import Bare, bare
from support import serverenvs
from support.serverkinds import KINDS, joblib_model

pytestmark = pytest.mark.timeout(180)
TRAIN = Path(__file__).with_name("train_formats.py")
CUSTOM = """from mlserver import MLModel
class Mine(MLModel):
    async def load(self):
        raise RuntimeError("mine said no")
"""


@pytest.fixture(scope="module", params=["mlserver", "kserve-sdk"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bare]:
    with bare(KINDS[request.param], tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    with bare(KINDS["mlserver"], tmp_path_factory.mktemp("mlserver")) as made:
        yield made


def put(server: Bare, name: str, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        file = server.models / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def test_each_format_is_told_by_its_file(server: Bare) -> None:
    python = serverenvs.ensure("mlserver") / "python"
    trained = subprocess.run(  # noqa: S603 - ours
        [python, TRAIN, server.models], check=True, capture_output=True, text=True
    )
    answers = json.loads(trained.stdout)
    assert len(answers) == 7
    for name, answer in answers.items():
        assert server.load(name) == ""
        assert server.ask(name, 10.0) == pytest.approx(answer), name


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README": b""}, "no model among its files (README)"),
        ({"a.joblib": b"", "b.pkl": b""}, "several files may be the model: a.joblib, b.pkl"),
        ({"model.ubj": b"junk"}, "model.ubj: XGBoostError: "),
        ({"model.txt": b"junk"}, "model.txt: LightGBMError: "),
        ({"model.pkl": b"junk"}, "model.pkl: "),
    ],
    ids=["none", "several", "xgboost", "lightgbm", "pickle"],
)
def test_what_is_wrong_is_one_sentence_that_names_the_file(
    server: Bare, files: dict[str, bytes], words: str
) -> None:
    shutil.rmtree(server.models / "wrong", ignore_errors=True)
    put(server, "wrong", files)
    message = server.load("wrong")
    assert words in message
    assert "Stack trace" not in message
    assert "Traceback" not in message


def test_two_hundred_models_load_one_by_one(server: Bare) -> None:
    for number in range(200):
        put(server, f"many-{number}", joblib_model(float(number)))
        assert server.load(f"many-{number}") == ""
    for number in (0, 100, 199):
        assert server.ask(f"many-{number}", 1.0) == number


def test_a_settings_file_in_the_folder_wins(mlserver: Bare) -> None:
    settings = {
        "name": "another-name",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./second.joblib", "version": "v7"},
    }
    files = {"model.joblib": joblib_model(1.0)["model.joblib"]}
    files |= {"second.joblib": joblib_model(2.0)["model.joblib"]}
    put(mlserver, "told", {**files, "model-settings.json": json.dumps(settings).encode()})
    assert mlserver.load("told") == ""
    assert mlserver.ask("told", 1.0) == 2.0


def test_a_settings_file_that_is_none_is_said_so(mlserver: Bare) -> None:
    put(mlserver, "garbled", {"model-settings.json": b'{"implementation":'})
    assert "garbled/model-settings.json: " in mlserver.load("garbled")


def test_the_last_sentence_of_a_traceback_is_told(mlserver: Bare) -> None:
    settings = json.dumps({"implementation": "mine.Mine"}).encode()
    put(mlserver, "custom", {"model-settings.json": settings, "mine.py": CUSTOM.encode()})
    assert mlserver.load("custom") == "RuntimeError: mine said no (500)"
