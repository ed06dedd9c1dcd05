"""The chart on a real cluster: installed, upgraded, taken away and installed again."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from cluster import binaries
from e2e.conftest import CHART, IMAGE, SYSTEM, MakeSpace, Release, now, operator, operators
from support import openapi
from support.audits import Audit
from support.spaces import LINE, Space
from support.terminals import Terminal, until
from support.traffic import Client

TRAINED_MODELS = "trainedmodels.serving.kserve.io"
EVERYTHING = (
    "--set replicas=2 --set networkPolicy.enabled=true --set metrics.service=true"
    " --set watchNamespaces={team-a} --set credentials.secrets=namespaces"
    " --set credentials.namespaces={team-a}"
)


@pytest.fixture(scope="module")
def space(make_space: MakeSpace) -> Space:
    """A server with one model, made before the chart is played with."""
    made = make_space("e2e-chart")
    made.add("line", made.upload("line"))
    made.serve()
    made.wait("tm/line")
    return made


def test_lint_finds_nothing(terminal: Terminal) -> None:
    said = terminal.run(f"helm lint --strict {CHART}")
    assert "0 chart(s) failed" in said


def test_a_misspelt_value_is_refused(terminal: Terminal) -> None:
    done = terminal.attempt(
        f"helm upgrade --install shoal {CHART} -n {SYSTEM} {IMAGE} --set replica=2 --dry-run"
    )
    assert done.returncode != 0
    assert "replica" in done.stderr


@pytest.fixture(scope="module")
def schemas(terminal: Terminal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strict schemas of everything that this API server serves."""
    binaries.ensure("kubeconform")
    folder = tmp_path_factory.mktemp("schemas")
    document = json.loads(terminal.run("kubectl get --raw /openapi/v2"))
    assert openapi.write(document, folder) > 100
    return folder


@pytest.mark.parametrize("values", ["", EVERYTHING], ids=["defaults", "everything"])
def test_every_object_is_one_that_this_api_server_knows(
    terminal: Terminal, schemas: Path, values: str
) -> None:
    said = terminal.run(
        f"helm template shoal {CHART} -n {SYSTEM} {IMAGE} {values}"
        f" | kubeconform -strict -summary -schema-location '{schemas}/{openapi.LOCATION}'"
    )
    assert "Invalid: 0, Errors: 0, Skipped: 0" in said


def test_kubeconform_sees_a_misspelt_field(terminal: Terminal, schemas: Path) -> None:
    done = terminal.attempt(
        f"helm template shoal {CHART} -n {SYSTEM} {IMAGE} | sed s/readOnlyRootFilesystem/readOnly/"
        f" | kubeconform -strict -schema-location '{schemas}/{openapi.LOCATION}'"
    )
    assert "Deployment shoal is invalid" in done.stdout


def test_the_operator_runs_without_rights_on_its_node(terminal: Terminal) -> None:
    pod = operator(terminal)
    here = f"kubectl -n {SYSTEM} exec {pod['metadata']['name']} --"
    assert terminal.run(f"{here} id -u").strip() == "65532"
    done = terminal.attempt(f"{here} touch /tmp/file /file")
    assert done.stderr.count("Read-only file system") == 2
    status = terminal.run(f"{here} cat /proc/1/status")
    rights = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(rights["CapEff"], 16) == int(rights["CapBnd"], 16) == 0
    assert rights["NoNewPrivs"] == "1"


@pytest.mark.timeout(120)
def test_of_two_replicas_one_leads(terminal: Terminal, release: Release, space: Space) -> None:
    release.install("--set replicas=2")
    pods = operators(terminal)
    leader = terminal.get(f"-n {SYSTEM} lease/shoal-operator")["spec"]["holderIdentity"]
    assert len(pods) == 2
    assert leader in [pod["metadata"]["name"] for pod in pods]
    terminal.run(f"kubectl -n {SYSTEM} delete pod {leader} --wait=false")
    space.add("second", space.upload("second"))
    space.wait("tm/second")
    until(
        lambda: terminal.get(f"-n {SYSTEM} lease/shoal-operator")["spec"].get("holderIdentity"),
        lambda holder: holder not in (None, "", leader),
        30,
        "the other leads",
    )
    assert terminal.get(f"-n {SYSTEM} poddisruptionbudget/shoal")["status"]["desiredHealthy"] == 1


@pytest.mark.timeout(120)
def test_a_value_is_changed_by_an_upgrade(terminal: Terminal, release: Release) -> None:
    release.install("--set operator.logLevel=DEBUG")
    pod = operator(terminal)
    environ = {row["name"]: row.get("value") for row in pod["spec"]["containers"][0]["env"]}
    assert environ["SHOAL_LOG_LEVEL"] == "DEBUG"
    log = f"kubectl -n {SYSTEM} logs {pod['metadata']['name']}"
    until(lambda: terminal.run(log), lambda said: '"debug"' in said, 20, "it says more")
    release.install()


@pytest.mark.timeout(120)
def test_an_upgrade_brings_new_definitions(
    terminal: Terminal, release: Release, space: Space, tmp_path: Path
) -> None:
    release.install(chart=_older(tmp_path))
    columns = "{.spec.versions[0].additionalPrinterColumns[*].name}"
    read = f"kubectl get crd {TRAINED_MODELS} -o jsonpath='{columns}'"
    assert "Loaded" not in terminal.run(read)
    release.install()
    assert "Loaded" in terminal.run(read)
    assert space.rows("kubectl get tm line")[0]["LOADED"] == "1/1"


def _older(folder: Path) -> Path:
    """Write a chart as it was before TrainedModels had the column LOADED."""
    chart = folder / "shoal"
    shutil.copytree(CHART, chart)
    file = chart / "files" / "crds" / "serving.kserve.io_trainedmodels.yaml"
    body = yaml.safe_load(file.read_text())
    version = body["spec"]["versions"][0]
    kept = [row for row in version["additionalPrinterColumns"] if row["name"] != "Loaded"]
    version["additionalPrinterColumns"] = kept
    file.write_text(yaml.safe_dump(body))
    text = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(text.replace("\nversion: ", "\nversion: 0.0.1 # "))
    return chart


@pytest.mark.timeout(180)
def test_models_are_served_while_the_operator_is_uninstalled(
    terminal: Terminal, release: Release, space: Space, audit: Audit
) -> None:
    uids = [pod["metadata"]["uid"] for pod in space.pods()]
    with audit.gap(now), Client(space.through_ingress("line"), pause=0.1) as client:
        release.uninstall()
        terminal.run(f"kubectl delete namespace {SYSTEM}")
        assert TRAINED_MODELS in terminal.run("kubectl get crd -o name")
        assert not terminal.run(
            "kubectl get clusterrole,clusterrolebinding -o name | grep shoal || true"
        )
        space.run("kubectl get isvc/server tm/line")
        space.add("meanwhile", space.upload("meanwhile"))
        release.install()
        space.wait("tm/meanwhile")
    assert not client.failures
    assert {answer.value for answer in client.answers} == {LINE}
    (pod,) = space.pods()
    assert [pod["metadata"]["uid"]] == uids
    assert all(row["restartCount"] == 0 for row in pod["status"]["containerStatuses"])


@pytest.mark.timeout(120)
def test_a_malformed_configuration_leaves_the_last_good_one_in_force(
    terminal: Terminal, space: Space
) -> None:
    read = f"kubectl -n {SYSTEM} get configmap/inferenceservice-config"
    before = terminal.run(f"{read} -o jsonpath='{{.data.ingress}}'")
    patch = f"kubectl -n {SYSTEM} patch configmap/inferenceservice-config --type merge -p"
    terminal.run(f"""{patch} '{{"data":{{"ingress":"not JSON"}}}}'""")
    events = f"kubectl -n {SYSTEM} get events --field-selector reason=ConfigInvalid"
    said = until(lambda: terminal.run(events), lambda text: "ingress" in text, 20, "an event")
    assert "last good configuration stays in force" in said
    space.add("third", space.upload("third"))
    space.wait("tm/third")
    assert space.get("isvc/server")["status"]["url"].endswith(".example.com")
    terminal.run(f"{patch} '{json.dumps({'data': {'ingress': before or None}})}'")
