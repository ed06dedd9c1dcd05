"""Two models on Triton from an S3 server with credentials, as examples/triton-mms types it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminals import Body, Terminal, condition, until

HERE = "kubectl -n mms"
MANIFESTS = "examples/triton-mms"
NAMES = ("mnist", "fashion")
MODELS = "trainedmodel/mnist trainedmodel/fashion"
HOSTNAME = (
    "$(kubectl -n mms get inferenceservice triton-mms -o jsonpath='{.status.url}' | cut -d/ -f3)"
)
CURL = f'curl -sS --max-time 10 -H "Host: {HOSTNAME}" http://$SHOAL_INGRESS'


@pytest.fixture(scope="module")
def walk(terminal: Terminal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bucket `triton`, and the request; the namespace is not there yet."""
    terminal.run(
        "python tests/cluster/image.py --context servers/triton --tag localhost/shoal-triton:dev",
        seconds=900,
    )
    terminal.run("kubectl delete namespace mms --ignore-not-found --timeout=90s", seconds=95)
    folder = tmp_path_factory.mktemp("triton")
    terminal.run(f"python {MANIFESTS}/train.py {folder}")
    address = terminal.get("-n storage service versitygw")["spec"]["clusterIP"]
    terminal.run(f"python examples/custom-server/upload.py http://{address}:9000 triton {folder}")
    yield folder
    terminal.run("kubectl delete namespace mms --wait=false")


def conditions(terminal: Terminal) -> list[Body]:
    return [condition(terminal.get(f"-n mms tm/{name}"), "Ready") for name in NAMES]


@pytest.mark.timeout(120)
def test_1_a_wrong_key_is_told_with_secret_endpoint_and_the_stores_words(
    terminal: Terminal,
    walk: Path,  # noqa: ARG001 - the bucket
) -> None:
    terminal.run(f"kubectl apply -f {MANIFESTS}/namespace.yaml")
    terminal.run(
        f"sed 's/shoal-secret-key/not-the-right-one/' {MANIFESTS}/s3-credentials.yaml"
        " | kubectl apply -f -"
    )
    said = terminal.run(f"kubectl apply -f {MANIFESTS}/inferenceservice.yaml")
    assert said == "inferenceservice.serving.kserve.io/triton-mms created\n"
    said = terminal.run(f"kubectl apply -f {MANIFESTS}/trainedmodels.yaml")
    assert said.splitlines() == [
        f"trainedmodel.serving.kserve.io/{name} created" for name in NAMES
    ]
    found = until(
        lambda: conditions(terminal),
        lambda rows: all(row["reason"] == "CredentialsRefused" for row in rows),
        90,
        "both are refused",
    )
    for row in found:
        assert row["status"] == "False"
        for words in ("Secret mms/s3-credentials", "versitygw.storage:9000"):
            assert words in row["message"]
        assert "SignatureDoesNotMatch" in row["message"]
        assert "not-the-right-one" not in row["message"]


@pytest.mark.timeout(120)
def test_2_the_corrected_secret_heals_it_with_nothing_else_touched(terminal: Terminal) -> None:
    pods = f"{HERE} get pods -o jsonpath='{{.items[*].metadata.uid}}'"
    before = terminal.run(pods)
    assert before
    terminal.run(f"kubectl apply -f {MANIFESTS}/s3-credentials.yaml")
    ready = f"{HERE} wait --for=condition=Ready isvc/triton-mms {MODELS} --timeout=90s"
    terminal.run(ready, seconds=95)
    assert terminal.run(pods) == before
    service = terminal.get("-n mms isvc/triton-mms")
    assert service["status"]["clusterServingRuntimeName"] == "kserve-tritonserver"
    assert condition(service, "Ready")["status"] == "True"


def test_3_the_server_says_who_it_is(terminal: Terminal) -> None:
    metadata = json.loads(terminal.run(f"{CURL}/v2"))
    assert metadata["name"] == "triton"
    assert "model_repository" in metadata["extensions"]


@pytest.mark.runtime("kserve-tritonserver", image="servers/triton")
@pytest.mark.parametrize("name", NAMES)
def test_4_each_model_answers_with_outputs(terminal: Terminal, walk: Path, name: str) -> None:
    answer = json.loads(terminal.run(f"{CURL}/v2/models/{name}/infer -d @{walk}/input.json"))
    assert answer["model_name"] == name
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs.keys() == {"class", "distance"}
    assert outputs["distance"]["shape"] == [1, 10]
    if name == "mnist":
        assert outputs["class"]["data"] == [7]


def test_5_a_deleted_model_answers_404_and_the_other_goes_on(
    terminal: Terminal, walk: Path
) -> None:
    terminal.run(f"{HERE} delete trainedmodel mnist")
    code = f"{CURL}/v2/models/mnist/infer -o /dev/null -w '%{{http_code}}' -d @{walk}/input.json"
    until(lambda: terminal.run(code), "404".__eq__, 20, "it answers 404")
    assert "outputs" in terminal.run(f"{CURL}/v2/models/fashion/infer -d @{walk}/input.json")
