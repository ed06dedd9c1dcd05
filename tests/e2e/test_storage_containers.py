"""A model that a container of somebody else's fetches, served on the node through the ingress."""

import base64
import io
import json
from collections.abc import Iterator

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from support.spaces import IMAGE, Space
from support.terminals import Body, Terminal, condition, until

FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 3.0, 4.2, 1.5]])
KINDS = np.array([0, 2, 1])
SMALL = {
    "requests": {"cpu": "50m", "memory": "256Mi"},
    "limits": {"cpu": "1", "memory": "1Gi"},
}
# What the container runs: it is given an address and a folder, and knows one address.
FETCH = """
import base64, os, pathlib, sys
address, folder = sys.argv[1:]
if address != "demo://iris":
    sys.exit(f"{address}: there is no such model")
pathlib.Path(folder, "model.joblib").write_bytes(base64.b64decode(os.environ["MODEL"]))
print(f"{address}: is in {folder}")
"""


@pytest.fixture(scope="module", autouse=True)
def server_image(terminal: Terminal) -> None:
    """Have the image that the chart's runtime names."""
    options = "--context servers/mlserver --tag localhost/shoal-mlserver:dev"
    terminal.run(f"python tests/cluster/image.py {options}", seconds=900)


@pytest.fixture
def model() -> LogisticRegression:
    return LogisticRegression().fit(FLOWERS, KINDS)


def service(uri: str) -> Body:
    sklearn = {"protocolVersion": "v2", "resources": SMALL, "storageUri": uri}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris"},
        "spec": {"predictor": {"sklearn": sklearn}},
    }


@pytest.fixture
def container(terminal: Terminal, model: LogisticRegression) -> Iterator[Body]:
    """A storage container for demo://, which is there until the end of the test."""
    sink = io.BytesIO()
    joblib.dump(model, sink)
    text = base64.b64encode(sink.getvalue()).decode()
    box = {
        "name": "storage-initializer",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", FETCH],
        "env": [{"name": "MODEL", "value": text}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    yield {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": {"name": "e2e-demo"},
        "spec": {"container": box, "supportedUriFormats": [{"prefix": "demo://"}]},
    }
    terminal.run("kubectl delete clusterstoragecontainer e2e-demo --ignore-not-found")


def said(space: Space, reason: str) -> str:
    """Wait until the service is not ready for a reason; return the message."""
    body = until(
        lambda: space.get("isvc/iris"),
        lambda body: condition(body, "Ready").get("reason") == reason,
        60,
        f"the service says {reason}",
    )
    message: str = condition(body, "Ready")["message"]
    return message


@pytest.mark.timeout(280)
def test_a_model_comes_by_a_scheme_of_ones_own_and_a_wrong_address_is_told(
    space: Space, container: Body, model: LogisticRegression
) -> None:
    space.apply(service("demo://iris"))
    assert "demo:// is not fetched by this version" in said(space, "NotSupported")

    space.apply(container)
    space.wait("isvc/iris", 120)
    row = {"name": "input-0", "shape": list(FLOWERS.shape), "datatype": "FP64"}
    asked = json.dumps({"inputs": [{**row, "data": FLOWERS.ravel().tolist()}]})
    answer = space.through_ingress("iris", "iris").ask(body=asked)
    assert answer.status == 200, answer.text
    assert json.loads(answer.text)["outputs"][0]["data"] == model.predict(FLOWERS).tolist()
    log = space.run(f"kubectl logs {space.pod('iris')} -c storage-initializer")
    assert log.splitlines()[-1] == "demo://iris: is in /mnt/models"
    told = condition(space.get("isvc/iris"), "StorageContainerAvailable")
    assert told["message"] == "The models are fetched by ClusterStorageContainer e2e-demo."

    space.apply(service("demo://none"))
    assert said(space, "ModelLoadFailed") == "demo://none: there is no such model"
    answer = space.through_ingress("iris", "iris").ask(body=asked)
    assert answer.status == 200, answer.text
