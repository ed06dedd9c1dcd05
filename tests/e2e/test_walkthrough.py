"""The walk-through, step by step, as docs/walkthrough.md types it; each test follows the last."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import MakeSpace
from support.spaces import LINE, RANGES, Space, listed
from support.terminals import Terminal, until
from support.traffic import BODY, Client, Door

SERVER = "custom-model-mms"
HOST = "custom-model-mms.default.example.com"
MANIFESTS = "examples/custom-model-mms"
NAMES = ("model1-custom", "model2-custom")
ANSWERS = {"model1-custom": LINE, "model2-custom": RANGES}
HOSTNAME = f"$(kubectl get inferenceservice {SERVER} -o jsonpath='{{.status.url}}' | cut -d/ -f3)"
MODELS = f"trainedmodel {' '.join(NAMES)}"


def _clear(terminal: Terminal) -> None:
    for kind, names in (("inferenceservice", SERVER), ("trainedmodel", " ".join(NAMES))):
        terminal.run(f"kubectl delete {kind} {names} --ignore-not-found")
    label = f"serving.kserve.io/inferenceservice={SERVER}"
    terminal.run(f"kubectl wait --for=delete pod -l {label} --timeout=60s", seconds=70)


@pytest.fixture(scope="module")
def walk(
    terminal: Terminal, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Space]:
    """The namespace `default` with the bucket and the credentials that the guide names."""
    _clear(terminal)
    service = terminal.get("-n storage service versitygw")
    url = f"http://{service['spec']['clusterIP']}:9000"
    terminal.run(f"python examples/custom-server/upload.py {url} models {models}")
    terminal.run(f"kubectl apply --server-side -f {MANIFESTS}/s3-credentials.yaml")
    yield Space(terminal, "default", models, tmp_path_factory.mktemp("walk"))
    _clear(terminal)
    terminal.run("kubectl delete secret s3-credentials")


def _infer(model: str) -> str:
    """Write the guide's request."""
    return (
        f"curl -sS -w ' %{{http_code}}' -H \"Host: {HOSTNAME}\" "
        f"http://$SHOAL_INGRESS/v2/models/{model}/infer -d {shlex.quote(BODY)}"
    )


def _answer(text: str) -> tuple[float, str]:
    body, _, status = text.rpartition(" ")
    return json.loads(body)["outputs"][0]["data"][0], status


def test_1_a_server_without_models_is_created(walk: Space) -> None:
    said = walk.run(f"kubectl apply -f {MANIFESTS}/inferenceservice.yaml")
    assert said == f"inferenceservice.serving.kserve.io/{SERVER} created\n"


def test_2_it_is_ready_at_its_url(walk: Space) -> None:
    walk.wait(f"inferenceservice/{SERVER}")
    (row,) = walk.rows("kubectl get inferenceservice")
    assert (row["NAME"], row["URL"], row["READY"]) == (SERVER, f"http://{HOST}", "True")


def test_3_two_models_are_created(walk: Space) -> None:
    said = walk.run(f"kubectl apply -f {MANIFESTS}/trainedmodels.yaml")
    assert said.splitlines() == [
        f"trainedmodel.serving.kserve.io/{name} created" for name in NAMES
    ]


def test_4_each_is_ready_at_its_url_and_answers(walk: Space) -> None:
    walk.wait(MODELS)
    answers = [walk.ask(name, SERVER).value for name in NAMES]
    assert answers == list(ANSWERS.values())
    rows = walk.rows("kubectl get trainedmodel")
    assert [(row["NAME"], row["URL"], row["READY"], row["LOADED"]) for row in rows] == [
        (name, f"http://{HOST}/v2/models/{name}/infer", "True", "1/1") for name in NAMES
    ]
    # Models are Ready by their pods, the service by its Deployment, which hears of pods later.
    until(
        lambda: [(row["READY"], row["MODELS"]) for row in walk.rows(f"kubectl get isvc {SERVER}")],
        [("True", "2/2")].__eq__,
        10,
        "the service is Ready with both models",
    )


def test_5_a_config_map_holds_both(walk: Space) -> None:
    text = walk.run(
        f"kubectl get configmap modelconfig-{SERVER}-0 -o jsonpath='{{.data.models\\.json}}'"
    )
    spec = {"framework": "custom", "memory": "256Mi"}
    assert json.loads(text) == [
        {"modelName": name, "modelSpec": {"storageUri": f"s3://models/{name}", **spec}}
        for name in NAMES
    ]


@pytest.mark.parametrize("name", NAMES)
def test_6_the_agent_says_what_it_did(walk: Space, name: str) -> None:
    lines = walk.run(f"kubectl logs {walk.pod(SERVER)} -c agent").splitlines()
    records = [json.loads(line) for line in lines]
    for message in (f"downloading model from s3://models/{name}", f"loaded model {name}"):
        (record,) = (each for each in records if each["message"] == message)
        assert record["level"] == "info"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])


@pytest.mark.parametrize("name", NAMES)
def test_7_it_answers_through_the_ingress(walk: Space, name: str) -> None:
    assert _answer(walk.run(_infer(name))) == (ANSWERS[name], "200")


@pytest.mark.parametrize("host", [f"{SERVER}.default", SERVER])
def test_7_it_answers_from_inside(walk: Space, host: str) -> None:
    url = f"http://{host}/v2/models/model1-custom/infer"
    script = (
        f"import urllib.request as u; print(u.urlopen({url!r}, {BODY.encode()!r}).read().decode())"
    )
    pod = walk.pod(SERVER)
    said = walk.run(f"kubectl exec {pod} -c kserve-container -- python3 -c {shlex.quote(script)}")
    assert json.loads(said)["outputs"][0]["data"] == [LINE]


def test_7_it_answers_through_a_forwarded_port(walk: Space) -> None:
    argv = ["kubectl", "-n", "default", "port-forward", walk.pod(SERVER), ":8080"]
    with subprocess.Popen(  # noqa: S603 - ours
        argv, env=dict(walk.terminal.environ), stdout=subprocess.PIPE, text=True
    ) as forward:
        try:
            assert forward.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", forward.stdout.readline())
            assert found
            answer = Door(f"127.0.0.1:{found[1]}", HOST, "model2-custom").ask()
        finally:
            forward.terminate()
    assert (answer.status, answer.value) == (200, RANGES)


def test_8_a_deleted_model_answers_404_and_the_other_is_unaffected(walk: Space) -> None:
    with Client(walk.through_ingress("model2-custom", SERVER)) as client:
        walk.run("kubectl delete trainedmodel model1-custom")
        until(lambda: walk.run(_infer("model1-custom"))[-3:], "404".__eq__, 30, "it answers 404")
        assert listed(walk, SERVER) == ["model2-custom"]
        (row,) = until(
            lambda: walk.rows(f"kubectl get isvc {SERVER}"),
            lambda rows: rows[0]["MODELS"] == "1/1",
            30,
        )
    assert row["READY"] == "True"
    assert client.answers
    assert not client.failures


def test_9_a_deleted_service_takes_all_its_own_with_it(walk: Space) -> None:
    kinds = "trainedmodels,deployments,services,configmaps,ingresses,hpa,roles,rolebindings"

    def left() -> list[str]:
        items = walk.get(kinds)["items"]
        return [
            f"{item['kind']}/{item['metadata']['name']}"
            for item in items
            if SERVER in item["metadata"]["name"] or item["metadata"]["name"] in NAMES
        ]

    assert left()
    walk.run(f"kubectl delete inferenceservice {SERVER}")
    until(left, lambda names: not names, 30, "all is gone")


@pytest.mark.weakness("M10")
@pytest.mark.timeout(120)
def test_models_before_their_service_end_in_the_same_state(make_space: MakeSpace) -> None:
    space = make_space("e2e-models-first")
    for name in NAMES:
        space.add(name, space.upload(name, name))
    found = until(
        lambda: space.condition("tm/model1-custom", "InferenceServiceReady"),
        lambda seen: seen["reason"] == "InferenceServiceNotFound",
        30,
    )
    assert "served as soon as it does" in found["message"]
    space.serve()
    space.wait(MODELS)
    assert [space.ask(name).value for name in NAMES] == list(ANSWERS.values())
    assert [row["LOADED"] for row in space.rows("kubectl get tm")] == ["1/1", "1/1"]
    assert listed(space) == list(NAMES)
