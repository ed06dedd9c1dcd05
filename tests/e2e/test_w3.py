"""One model on TorchServe from Google Cloud Storage, as examples/pipeline-test types it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import Release
from support.terminals import Terminal, until

NAMESPACE = "pipelines"
HERE = f"kubectl -n {NAMESPACE}"
MANIFESTS = "examples/pipeline-test"
GCS = "examples/sklearn-iris"
TORCHSERVE = "--set runtimes.torchserve.image=localhost/shoal-torchserve:dev"
HOSTNAME = (
    f"$({HERE} get inferenceservice pipeline-test -o jsonpath='{{.status.url}}' | cut -d/ -f3)"
)


@pytest.fixture(scope="module")
def walk(
    terminal: Terminal, release: Release, gcs: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The bucket `pipelines`, and the request; KServe's image cannot be had here, ours can."""
    image = "--context servers/torchserve --tag localhost/shoal-torchserve:dev"
    terminal.run(f"python tests/cluster/image.py {image}", seconds=900)
    release.install(TORCHSERVE)
    folder = tmp_path_factory.mktemp("pipelines")
    terminal.run(f"python {MANIFESTS}/train.py {folder}")
    terminal.run(f"python {GCS}/upload.py {gcs} pipelines {folder}")
    terminal.run(
        f"kubectl delete namespace {NAMESPACE} --ignore-not-found --timeout=90s", seconds=95
    )
    terminal.run(f"kubectl create namespace {NAMESPACE}")
    yield folder
    terminal.run(f"kubectl delete namespace {NAMESPACE} --wait=false")
    release.install()


def pod(terminal: Terminal) -> str:
    listed = terminal.run(
        f"{HERE} get pods -l serving.kserve.io/inferenceservice=pipeline-test -o name"
    )
    (name,) = listed.split()
    return name


@pytest.mark.timeout(240)
def test_1_it_gets_ready_with_the_annotation_that_nobody_knows(
    terminal: Terminal,
    walk: Path,  # noqa: ARG001 - the bucket
) -> None:
    terminal.run(f"{HERE} apply -f {GCS}/gcs-credentials.yaml")
    said = terminal.run(f"{HERE} apply -f {MANIFESTS}/inferenceservice.yaml")
    assert said == "inferenceservice.serving.kserve.io/pipeline-test created\n"
    terminal.run(
        f"{HERE} wait --for=condition=Ready isvc/pipeline-test --timeout=180s", seconds=190
    )
    status = terminal.get(f"-n {NAMESPACE} isvc/pipeline-test")["status"]
    assert status["clusterServingRuntimeName"] == "kserve-torchserve"
    made = terminal.get(f"-n {NAMESPACE} {pod(terminal)}")
    assert made["metadata"]["annotations"]["sidecar.istio.io/injekt"] == "false"
    assert made["metadata"]["labels"]["serviceEnvelope"] == "kserve"


def test_2_the_pod_says_what_was_fetched(terminal: Terminal) -> None:
    described = terminal.run(f"{HERE} describe {pod(terminal)}")
    assert re.search(r"^Init Containers:\n +storage-initializer:", described, re.MULTILINE)
    said = terminal.run(f"{HERE} logs {pod(terminal)} -c storage-initializer")
    assert "gs://pipelines/dir/gs" in said
    assert said.splitlines()[-1] == "gs://pipelines/dir/gs: is in /mnt/models"


@pytest.mark.runtime("kserve-torchserve", image="servers/torchserve")
def test_3_the_model_answers_through_a_forwarded_port(terminal: Terminal, walk: Path) -> None:
    ports: list[str] = []
    ask = (
        f'curl -sS --max-time 30 -H "Host: {HOSTNAME}"'
        f" http://127.0.0.1:8081/v1/models/line:predict -d @{walk}/input.json"
    )
    with terminal.follow(f"{HERE} port-forward {pod(terminal)} 8081:8080", ports.append):
        until(lambda: ports, bool, 20, "the port is forwarded")
        assert json.loads(terminal.run(ask)) == {"predictions": [3.0, 5.0]}


def test_4_the_model_answers_through_the_ingress(terminal: Terminal, walk: Path) -> None:
    ask = (
        f'curl -sS --max-time 30 -H "Host: {HOSTNAME}"'
        f" http://$SHOAL_INGRESS/v1/models/line:predict -d @{walk}/input.json"
    )
    assert json.loads(terminal.run(ask)) == {"predictions": [3.0, 5.0]}


@pytest.mark.timeout(200)
def test_5_a_folder_that_is_not_there_is_told_in_one_sentence(terminal: Terminal) -> None:
    terminal.run(f"{HERE} delete isvc pipeline-test")  # the node has no room for two
    wrong = f"sed 's#dir/gs#dir/none#; s/pipeline-test/pipeline-none/' {MANIFESTS}"
    terminal.run(f"{wrong}/inferenceservice.yaml | {HERE} apply -f -")
    path = "{.status.modelStatus.lastFailureInfo.message}"
    told = until(
        lambda: terminal.run(f"{HERE} get isvc pipeline-none -o jsonpath='{path}'"),
        lambda message: "gs://pipelines/dir/none" in message,  # or that the node has no room yet
        90,
        "the service says why it has no model",
    )
    assert "\n" not in told
    terminal.run(f"{HERE} delete isvc pipeline-none")
