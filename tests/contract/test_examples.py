"""The manifests are what the walk-through says, and the model server keeps its own contract."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract.conftest import CHECKOUT
from shoal.api import inferenceservices, trainedmodels
from support import manifests

EXAMPLES = CHECKOUT / "examples"
MMS = EXAMPLES / "custom-model-mms"
SERVER = EXAMPLES / "custom-server"
IRIS = EXAMPLES / "sklearn-iris"
PIPELINE = EXAMPLES / "pipeline-test"


def stored(body: dict[str, Any]) -> dict[str, Any]:
    """Add what the API server adds."""
    meta = {"uid": "1", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {**body, "metadata": {**body["metadata"], **meta}}


def test_the_service_names_no_storage_and_no_special_variable() -> None:
    (body,) = manifests.read(MMS / "inferenceservice.yaml")
    service = inferenceservices.parse(stored(body))
    (container,) = service.predictor.containers
    amounts = {"cpu": "1", "memory": "2Gi"}
    assert container == {
        "name": "kserve-container",
        "image": "localhost/custom-server:dev",
        "resources": {"requests": amounts, "limits": amounts},
    }
    assert body["spec"] == {"predictor": {"containers": [container]}}
    assert (service.metadata.namespace, service.metadata.name) == ("default", "custom-model-mms")
    assert not inferenceservices.unsupported(service)
    assert not inferenceservices.ignored(service)


def test_the_models_are_the_walkthroughs() -> None:
    models = [
        trainedmodels.parse(stored(body)) for body in manifests.read(MMS / "trainedmodels.yaml")
    ]
    assert [(m.metadata.name, m.inference_service, m.storage_uri, m.memory) for m in models] == [
        ("model1-custom", "custom-model-mms", "s3://models/model1-custom", "256Mi"),
        ("model2-custom", "custom-model-mms", "s3://models/model2-custom", "256Mi"),
    ]


def test_the_account_lists_the_secret_that_says_where_the_bucket_is() -> None:
    secret, account = manifests.read(MMS / "s3-credentials.yaml")
    for body in (secret, account):
        manifests.check(body)
    assert account["metadata"]["name"] == "default"
    assert account["secrets"] == [{"name": secret["metadata"]["name"]}]


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("inferenceservice.yaml", "gs://iris/sklearn/iris"),
        ("inferenceservice-pvc.yaml", "pvc://models/sklearn/iris"),
    ],
)
def test_the_irises_are_the_walkthroughs(file: str, uri: str) -> None:
    (body,) = manifests.read(IRIS / file)
    body["metadata"]["namespace"] = "default"
    service = inferenceservices.parse(stored(body))
    assert service.predictor.storage_uri == uri
    assert service.predictor.framework_specs()["sklearn"].protocol == "v2"
    assert not inferenceservices.unsupported(service)
    assert inferenceservices.misspelt(service) == ["spec.predictor.sklearn.ProtocolVersion"]


def test_the_pipeline_is_the_walkthroughs() -> None:
    (body,) = manifests.read(PIPELINE / "inferenceservice.yaml")
    (secret, account) = manifests.read(IRIS / "gcs-credentials.yaml")
    body["metadata"]["namespace"] = "default"
    service = inferenceservices.parse(stored(body))
    assert service.metadata.name == "pipeline-test"
    assert service.metadata.annotations.keys() == {"sidecar.istio.io/injekt"}
    assert service.spec.predictor.model_dump(exclude_unset=True, by_alias=True) == {
        "model": {"modelFormat": {"name": "pytorch"}, "storageUri": "gs://pipelines/dir/gs"}
    }
    assert not inferenceservices.unsupported(service)
    assert account["secrets"] == [{"name": secret["metadata"]["name"]}]
    key = json.loads(secret["stringData"]["gcloud-application-credentials.json"])
    assert key["gcs_base_url"] == "http://fake-gcs-server.storage:4443"


def test_torchserve_finds_the_pipelines_archive_by_its_config(tmp_path: Path) -> None:
    subprocess.run([sys.executable, PIPELINE / "train.py", tmp_path], check=True)  # noqa: S603
    folder = tmp_path / "dir" / "gs"
    lines = (folder / "config" / "config.properties").read_text().splitlines()
    snapshot = json.loads(dict(line.split("=", 1) for line in lines)["model_snapshot"])
    ((name, versions),) = snapshot["models"].items()
    with zipfile.ZipFile(folder / "model-store" / versions["1.0"]["marName"]) as archive:
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
        assert manifest["modelName"] == name
        assert manifest["handler"] in archive.namelist()


def test_a_whole_folder_can_be_applied() -> None:
    for path in MMS.iterdir():
        if path.suffix in {".yaml", ".yml", ".json"}:
            assert all({"apiVersion", "kind"} <= body.keys() for body in manifests.read(path))


def test_the_image_has_the_scikit_learn_that_trains() -> None:
    pinned = re.compile(r"^(scikit-learn|joblib)==(\S+)", re.MULTILINE)
    image = pinned.findall((SERVER / "requirements.lock").read_text())
    assert len(image) == 2
    assert set(image) <= set(pinned.findall((CHECKOUT / "requirements/dev.lock").read_text()))


@dataclass
class Running:
    """A model server, and how to talk to it over one connection."""

    process: subprocess.Popen[str]
    connection: http.client.HTTPConnection
    models: Path

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        content = b"" if body is None else json.dumps(body).encode()
        self.connection.request(method, path, content)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def load(self, name: str) -> tuple[int, dict[str, Any]]:
        return self.ask("POST", f"/v2/repository/models/{name}/load")

    def infer(self, name: str, data: list[Any], shape: list[int]) -> tuple[int, dict[str, Any]]:
        tensor = {"name": "input-0", "shape": shape, "datatype": "FP32", "data": data}
        return self.ask("POST", f"/v2/models/{name}/infer", {"inputs": [tensor]})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, SERVER / "train.py", folder], check=True, capture_output=True)  # noqa: S603
    return folder


@contextmanager
def running(models: Path, port: int) -> Iterator[Running]:
    environ = {"MODEL_DIR": str(models), "PORT": str(port), "DRAIN_SECONDS": "0.2"}
    with subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, SERVER / "server.py"],
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        assert process.stderr
        assert "serving" in process.stderr.readline()
        yield Running(process, connection, models)
        connection.close()
        process.kill()


@pytest.fixture(scope="module")
def server(trained: Path, unused_tcp_port_factory: Callable[[], int]) -> Iterator[Running]:
    with running(trained, unused_tcp_port_factory()) as started:
        yield started


def test_the_two_models_answer_differently(server: Running) -> None:
    for name, datatype, answer in (("model1-custom", "FP32", 3.0), ("model2-custom", "INT64", 1)):
        assert server.load(name) == (200, {"name": name})
        assert server.ask("GET", f"/v2/models/{name}/ready")[0] == 200
        output = {"name": "output-0", "shape": [1], "datatype": datatype, "data": [answer]}
        assert server.infer(name, [1.0], [1]) == (200, {"model_name": name, "outputs": [output]})


@pytest.mark.parametrize(
    ("data", "shape"),
    [([1.0, -5.0, 9.0], [3]), ([1.0, -5.0, 9.0], [3, 1]), ([[1.0], [-5.0], [9.0]], [3, 1])],
    ids=["rows", "rows-of-one", "nested"],
)
def test_many_rows_get_many_answers(server: Running, data: list[Any], shape: list[int]) -> None:
    server.load("model2-custom")
    _, answer = server.infer("model2-custom", data, shape)
    assert answer["outputs"][0]["data"] == [1, 0, 2]


def test_an_unknown_model_is_a_404_with_a_reason(server: Running) -> None:
    said = {"error": "model 'nobody' is not loaded"}
    assert server.ask("GET", "/v2/models/nobody/ready") == (404, said)
    assert server.infer("nobody", [1.0], [1]) == (404, said)
    assert server.ask("POST", "/v2/repository/models/nobody/unload") == (404, said)


def test_an_unloaded_model_is_unknown(server: Running) -> None:
    server.load("model1-custom")
    assert server.ask("POST", "/v2/repository/models/model1-custom/unload")[0] == 200
    assert server.infer("model1-custom", [1.0], [1])[0] == 404


def test_a_failed_load_says_why_and_leaves_the_old_model(server: Running, tmp_path: Path) -> None:
    server.load("model1-custom")
    file = server.models / "model1-custom" / "model.joblib"
    good = file.rename(tmp_path / "good")
    file.write_text("junk")
    status, answer = server.load("model1-custom")
    good.rename(file)
    assert status == 500
    assert str(file) in answer["error"]
    assert server.infer("model1-custom", [1.0], [1])[0] == 200


@pytest.mark.parametrize(
    "body", [[], {"inputs": []}, {"inputs": [{"shape": [4], "data": [1.0]}]}], ids=str
)
def test_a_malformed_request_is_a_400_with_a_reason(server: Running, body: object) -> None:
    server.load("model1-custom")
    status, answer = server.ask("POST", "/v2/models/model1-custom/infer", body)
    assert status == 400
    assert answer["error"]


def test_no_model_is_found_outside_its_folder(server: Running) -> None:
    assert server.load("..")[0] == 404
    assert server.load("../../etc")[0] == 404


def test_it_stops_when_told_and_answers_until_then(trained: Path, unused_tcp_port: int) -> None:
    with running(trained, unused_tcp_port) as server:
        assert server.ask("GET", "/v2/health/ready")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.ask("GET", "/v2/health/live")[0] == 200
        assert server.process.wait(timeout=10) == 0
