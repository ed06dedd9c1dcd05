"""What the API server accepts and refuses by the schemas and CEL rules of `crds/`.

Its API server is its own: what is left in it, and the CRD that is relaxed, concern no operator.
"""

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from integration import admission_images as images
from integration import admission_rows as rows
from integration import storage_container_rows as containers
from integration.admission_rows import isvc, model
from integration.conftest import running
from support.agentrigs import until

DATA = Path(__file__).parent / "data"
MANIFESTS = [
    body for file in sorted(DATA.glob("*.yaml")) for body in yaml.safe_load_all(file.read_text())
]
ACCEPTED = {**rows.ACCEPTED, **images.ACCEPTED, **containers.ACCEPTED}
REFUSED = {**rows.REFUSED, **images.REFUSED, **containers.REFUSED}
SHORT = {"InferenceService": "isvc", "TrainedModel": "tm"}


class Server(Protocol):
    def kubectl(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("admission")) as server:
        yield server


def apply(server: Server, body: dict[str, Any], *flags: str) -> subprocess.CompletedProcess[str]:
    return server.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", *flags),
        text=json.dumps(body),
    )


@pytest.mark.parametrize(
    "body", MANIFESTS, ids=lambda body: f"{body['kind']}-{body['metadata']['name']}"
)
def test_an_upstream_manifest_is_accepted(api_server: Server, body: dict[str, Any]) -> None:
    done = apply(api_server, body)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED)
def test_a_rule_lets_pass(api_server: Server, body: dict[str, Any]) -> None:
    done = apply(api_server, body, "--dry-run=server")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_a_rule_refuses(api_server: Server, body: dict[str, Any], message: str) -> None:
    done = apply(api_server, body, "--dry-run=server")

    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize(("old", "new", "message"), rows.CHANGES.values(), ids=rows.CHANGES)
def test_a_change_is(
    api_server: Server, old: dict[str, Any], new: dict[str, Any], message: str
) -> None:
    api_server.kubectl("delete", "--ignore-not-found", "-f", "-", text=json.dumps(old))
    assert apply(api_server, old).returncode == 0

    done = apply(api_server, new, "--dry-run=server")

    assert (done.returncode == 0) == (not message), done.stderr
    assert message in done.stderr


def test_a_service_of_too_long_a_name_can_still_be_changed(api_server: Server) -> None:
    """Objects that were stored before the rule must not be stuck: finalizers, deletion."""
    crd = api_server.kubectl("get", "crd", "inferenceservices.serving.kserve.io", "-o", "json")
    relaxed = json.loads(crd.stdout)
    rules = copy.deepcopy(relaxed)
    schema = relaxed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema.pop("x-kubernetes-validations")
    for body in (relaxed, rules):
        body["metadata"].pop("resourceVersion")
        body["metadata"].pop("managedFields", None)
    assert apply(api_server, relaxed).returncode == 0
    old = isvc(name="a" * 60)
    _until_created(api_server, old)
    assert apply(api_server, rules).returncode == 0

    labelled = api_server.kubectl("label", "isvc", "a" * 60, "x=y")

    assert labelled.returncode == 0, labelled.stderr


def _until_created(server: Server, body: dict[str, Any]) -> None:
    """The API server takes a moment to serve a changed schema."""
    until(lambda: apply(server, body).returncode == 0)


def test_conditions_are_merged_by_type(api_server: Server) -> None:
    body = isvc(name="conditions")
    assert apply(api_server, body).returncode == 0
    for manager, kind in (("one", "Ready"), ("two", "Stopped")):
        status = {"conditions": [{"type": kind, "status": "True"}]}
        done = apply(
            api_server,
            {**isvc(name="conditions"), "spec": body["spec"], "status": status},
            "--subresource=status",
            f"--field-manager={manager}",
        )
        assert done.returncode == 0, done.stderr

    stored = api_server.kubectl("get", "isvc", "conditions", "-o", "jsonpath={.status.conditions}")

    assert {condition["type"] for condition in json.loads(stored.stdout)} == {"Ready", "Stopped"}


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("isvc", ["NAME", "URL", "READY", "MODELS", "PREV", "LATEST"]),
        ("tm", ["NAME", "URL", "READY", "LOADED", "AGE"]),
        ("servingruntimes", ["NAME", "DISABLED", "MODELTYPE", "CONTAINERS", "AGE"]),
        ("clusterservingruntimes", ["NAME", "DISABLED", "MODELTYPE", "CONTAINERS", "AGE"]),
        ("clusterstoragecontainers", ["NAME", "DISABLED", "PREFIXES", "IMAGE", "AGE"]),
    ],
)
def test_a_list_shows(api_server: Server, kind: str, columns: list[str]) -> None:
    for body in MANIFESTS:
        if kind.startswith(SHORT.get(body["kind"], body["kind"].lower())):
            assert apply(api_server, body).returncode == 0
            break

    shown = api_server.kubectl("get", kind, "--namespace=default").stdout.split("\n")[0].split()

    assert shown[: len(columns)] == columns


def test_a_wide_list_of_models_shows_the_reason(api_server: Server) -> None:
    assert apply(api_server, model()).returncode == 0

    assert "REASON" in api_server.kubectl("get", "tm", "-o", "wide").stdout


def test_explain_shows_our_text(api_server: Server) -> None:
    shown = api_server.kubectl("explain", "inferenceservice.spec.predictor.minReplicas")

    assert "The fewest replicas" in shown.stdout
