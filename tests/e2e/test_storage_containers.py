"""A model that a container of somebody else's fetches, served on the node through the ingress."""

import base64
from collections.abc import Iterator

import pytest
from sklearn.linear_model import LogisticRegression

from support import flowers
from support.spaces import IMAGE, Space
from support.terminals import Body, Terminal, condition, until

pytestmark = pytest.mark.usefixtures("mlserver")

# What the container runs: it is given an address and a folder, and knows one address.
FETCH = """
import base64, os, pathlib, sys
address, folder = sys.argv[1:]
if address != "demo://iris":
    sys.exit(f"{address}: there is no such model")
pathlib.Path(folder, "model.joblib").write_bytes(base64.b64decode(os.environ["MODEL"]))
print(f"{address}: is in {folder}")
"""


@pytest.fixture
def container(terminal: Terminal, model: LogisticRegression) -> Iterator[Body]:
    """A storage container for demo://, which is there until the end of the test."""
    text = base64.b64encode(flowers.file(model)).decode()
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
    flowers.serve(space, "demo://iris")
    assert "demo:// is not fetched by this version" in said(space, "NotSupported")

    space.apply(container)
    space.wait("isvc/iris", 120)
    assert flowers.answers(space, model)
    log = space.run(f"kubectl logs {space.pod('iris')} -c storage-initializer")
    assert log.splitlines()[-1] == "demo://iris: is in /mnt/models"
    told = condition(space.get("isvc/iris"), "StorageContainerAvailable")
    assert told["message"] == "The models are fetched by ClusterStorageContainer e2e-demo."

    flowers.serve(space, "demo://none")
    assert said(space, "ModelLoadFailed") == "demo://none: there is no such model"
    assert flowers.answers(space, model)
