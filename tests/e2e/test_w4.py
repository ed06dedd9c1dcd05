"""One scikit-learn model on MLServer, as examples/sklearn-iris types it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminals import Terminal, condition

NAMESPACE = "irises"
HERE = f"kubectl -n {NAMESPACE}"
MANIFESTS = "examples/sklearn-iris"
VOLUME = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: e2e-irises}
spec:
  capacity: {storage: 10Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  hostPath: {path: /var/tmp/shoal-e2e-irises, type: DirectoryOrCreate}
  claimRef: {namespace: irises, name: models}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: models}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  resources: {requests: {storage: 10Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: filler}
spec:
  securityContext: {runAsUser: 0}
  containers:
    - name: filler
      image: localhost/custom-server:dev
      command: [sleep, "600"]
      volumeMounts: [{name: models, mountPath: /models}]
  volumes: [{name: models, persistentVolumeClaim: {claimName: models}}]
"""


@pytest.fixture(scope="module")
def trained(
    terminal: Terminal, gcs: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The model's file, which is in the bucket `iris` too."""
    image = "--context servers/mlserver --tag localhost/shoal-mlserver:dev"
    terminal.run(f"python tests/cluster/image.py {image}", seconds=900)
    folder = tmp_path_factory.mktemp("irises")
    file = terminal.run(f"python {MANIFESTS}/train.py {folder}").strip()
    terminal.run(f"python {MANIFESTS}/upload.py {gcs} iris {folder}")
    terminal.run(
        f"kubectl delete namespace {NAMESPACE} --ignore-not-found --timeout=90s", seconds=95
    )
    terminal.run("kubectl delete pv e2e-irises --ignore-not-found --timeout=30s")
    terminal.run(f"kubectl create namespace {NAMESPACE}")
    yield Path(file)
    terminal.run(f"kubectl delete namespace {NAMESPACE} --timeout=90s", seconds=95)
    terminal.run("kubectl delete pv e2e-irises --ignore-not-found --wait=false")


def classes(terminal: Terminal, name: str) -> list[int]:
    """Ask for the two flowers through the ingress, as the guide types it."""
    host = f"$({HERE} get inferenceservice {name} -o jsonpath='{{.status.url}}' | cut -d/ -f3)"
    said = terminal.run(
        "curl -sSf --max-time 10 --retry 10 --retry-all-errors --retry-delay 1"  # the ingress lags
        f' -H "Host: {host}" -H "Content-Type: application/json"'
        f" http://$SHOAL_INGRESS/v2/models/{name}/infer -d @{MANIFESTS}/input.json"
    )
    found: list[int] = json.loads(said)["outputs"][0]["data"]
    return found


@pytest.mark.timeout(240)
@pytest.mark.runtime("kserve-mlserver", image="servers/mlserver")
def test_1_two_flowers_are_answered_with_two_classes(
    terminal: Terminal,
    trained: Path,  # noqa: ARG001 - the bucket
) -> None:
    terminal.run(f"{HERE} apply -f {MANIFESTS}/gcs-credentials.yaml")
    said = terminal.run(f"{HERE} apply -f {MANIFESTS}/inferenceservice.yaml")
    assert said == "inferenceservice.serving.kserve.io/sklearn-iris created\n"
    terminal.run(
        f"{HERE} wait --for=condition=Ready isvc/sklearn-iris --timeout=180s", seconds=190
    )
    assert classes(terminal, "sklearn-iris") == [1, 1]


def test_2_the_guides_spelling_is_warned_of(terminal: Terminal) -> None:
    found = condition(terminal.get(f"-n {NAMESPACE} isvc/sklearn-iris"), "FieldsHonoured")
    assert (found["status"], found["reason"]) == ("True", "FieldsMisspelt")
    assert "spec.predictor.sklearn.ProtocolVersion" in found["message"]


@pytest.mark.timeout(240)
def test_3_so_it_is_from_a_claim(terminal: Terminal, trained: Path) -> None:
    terminal.run(f"{HERE} delete isvc sklearn-iris")  # the node has no room for two
    terminal.run(f"{HERE} apply -f -", stdin=VOLUME)
    terminal.run(f"{HERE} wait --for=condition=Ready pod/filler --timeout=60s", seconds=70)
    terminal.run(f"{HERE} exec filler -- mkdir -p /models/sklearn/iris")
    write = "'cat > /models/sklearn/iris/model.joblib'"
    terminal.run(f"{HERE} exec -i filler -- sh -c {write} < {trained}")
    terminal.run(f"{HERE} delete pod filler --grace-period=0")
    terminal.run(f"{HERE} apply -f {MANIFESTS}/inferenceservice-pvc.yaml")
    terminal.run(f"{HERE} wait --for=condition=Ready isvc/sklearn-pvc --timeout=180s", seconds=190)
    assert classes(terminal, "sklearn-pvc") == [1, 1]
