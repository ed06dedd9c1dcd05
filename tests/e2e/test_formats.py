"""A model of each framework on the node, by the protocol that its service asks for.

KServe's own images cannot be had here: our server on its SDK runs in their place, with their
runtimes' arguments.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import MakeSpace, Release
from support import serverenvs
from support.serverkinds import KINDS
from support.spaces import Space
from support.terminals import Body, Terminal

SDK = " ".join(
    f"--set runtimes.{key}.image=localhost/shoal-kserve-sdk:dev"
    for key in ("sklearnserver", "xgbserver", "lgbserver")
)
SMALL = {
    "requests": {"cpu": "50m", "memory": "256Mi"},
    "limits": {"cpu": "1", "memory": "1Gi"},
}
FORMATS = {
    "sklearn": ("sklearn-joblib", "model.joblib"),
    "xgboost": ("xgboost-ubj", "model.ubj"),
    "lightgbm": ("lightgbm-txt", "model.txt"),
}
RUNTIMES = {
    "sklearn": "kserve-sklearnserver",
    "xgboost": "kserve-xgbserver",
    "lightgbm": "kserve-lgbserver",
}


@pytest.fixture(scope="module")
def space(make_space: MakeSpace, release: Release, terminal: Terminal) -> Iterator[Space]:
    for name in ("mlserver", "kserve-sdk", "triton"):
        options = f"--context servers/{name} --tag localhost/shoal-{name}:dev"
        terminal.run(f"python tests/cluster/image.py {options}", seconds=900)
    release.install(SDK)
    yield make_space("e2e-formats")
    release.install()


@pytest.fixture(scope="module")
def trained(
    terminal: Terminal, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """A folder for each model, and what each answers to 10.0 by itself."""
    folder = tmp_path_factory.mktemp("formats")
    python = serverenvs.ensure("mlserver") / "python"
    said = terminal.run(f"{python} tests/integration/model_servers/train_formats.py {folder}")
    answers: dict[str, float] = json.loads(said)
    return folder, answers


def serve(space: Space, key: str, folder: Path, protocol: str) -> str:
    """Make a service of one model; return its name."""
    name = f"{key}-{protocol or 'plain'}"
    source, file = FORMATS[key]
    uri = space.put(name, {file: folder / source / file})
    wanted = {"protocolVersion": protocol} if protocol else {}
    make(space, name, {key: {"storageUri": uri, "resources": SMALL, **wanted}})
    return name


def make(space: Space, name: str, predictor: Body) -> None:
    """Make a service, and wait until it is ready and the ingress knows."""
    space.apply(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": name},
            "spec": {"predictor": predictor},
        }
    )
    space.wait(f"isvc/{name}", 120)
    space.through_ingress(name, name)  # it leads there


def ask(space: Space, name: str, path: str, body: Body) -> Body:
    """Ask through the ingress."""
    host = space.get(f"isvc/{name}")["status"]["url"].partition("//")[2]
    said = space.run(
        f"curl -sS --fail-with-body --max-time 10 -H 'Host: {host}'"
        f" -H 'Content-Type: application/json' http://$SHOAL_INGRESS{path} -d @-",
        stdin=json.dumps(body),
    )
    found: Body = json.loads(said)
    return found


@pytest.mark.timeout(240)
@pytest.mark.runtime("kserve-sklearnserver", image="servers/kserve-sdk")
@pytest.mark.runtime("kserve-xgbserver", image="servers/kserve-sdk")
@pytest.mark.runtime("kserve-lgbserver", image="servers/kserve-sdk")
@pytest.mark.parametrize("key", FORMATS)
def test_by_v1_it_answers_what_the_model_answers(
    space: Space, trained: tuple[Path, dict[str, float]], key: str
) -> None:
    folder, answers = trained
    name = serve(space, key, folder, "")
    assert space.get(f"isvc/{name}")["status"]["clusterServingRuntimeName"] == RUNTIMES[key]
    answer = ask(space, name, f"/v1/models/{name}:predict", {"instances": [[10.0]]})
    assert answer["predictions"] == [pytest.approx(answers[FORMATS[key][0]], rel=1e-5)]
    space.run(f"kubectl delete isvc {name}")


@pytest.mark.timeout(240)
@pytest.mark.runtime("kserve-mlserver", image="servers/mlserver")
@pytest.mark.parametrize("key", FORMATS)
def test_by_v2_it_answers_what_the_model_answers(
    space: Space, trained: tuple[Path, dict[str, float]], key: str
) -> None:
    folder, answers = trained
    name = serve(space, key, folder, "v2")
    assert space.get(f"isvc/{name}")["status"]["clusterServingRuntimeName"] == "kserve-mlserver"
    tensor = {"name": "input-0", "shape": [1, 1], "datatype": "FP64", "data": [10.0]}
    answer = ask(space, name, f"/v2/models/{name}/infer", {"inputs": [tensor]})
    assert answer["outputs"][0]["data"] == [pytest.approx(answers[FORMATS[key][0]], rel=1e-5)]
    space.run(f"kubectl delete isvc {name}")


@pytest.mark.timeout(240)
@pytest.mark.runtime("kserve-tritonserver", image="servers/triton")
def test_triton_answers_for_each_folder_of_its_repository(space: Space) -> None:
    made = {"three": KINDS["triton"].make(3.0), "four": KINDS["triton"].make(4.0)}
    files = {f"{name}/{path}": text for name, rows in made.items() for path, text in rows.items()}
    uri = space.put("repository", dict(files))
    make(space, "triton", {"triton": {"storageUri": uri, "resources": SMALL}})
    status = space.get("isvc/triton")["status"]
    assert status["clusterServingRuntimeName"] == "kserve-tritonserver"
    for name, value in (("three", 3.0), ("four", 4.0)):
        assert space.ask(name, "triton").value == value
    space.run("kubectl delete isvc triton")
