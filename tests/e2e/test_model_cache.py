"""Two pods that share a claim fetch their model once."""

import pytest
from sklearn.linear_model import LogisticRegression

from support.flowers import SMALL, answers, upload
from support.spaces import Space
from support.terminals import Body

pytestmark = pytest.mark.usefixtures("mlserver")

FILLER = "localhost/custom-server:dev"
FOLDER = "/claim/models"
CACHE = "the model cache pvc://shared/models"


def open_up(space: Space, claim: str) -> None:
    """Make an empty folder that all may write to: a folder of the node knows no fsGroup."""
    box = {
        "name": "filler",
        "image": FILLER,
        "command": ["sh", "-c", f"rm -rf {FOLDER} && mkdir {FOLDER} && chmod 777 {FOLDER}"],
        "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
    }
    spec = {
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 0},
        "containers": [box],
        "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}],
    }
    space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "filler"}, "spec": spec})
    done = "--for=jsonpath='{.status.phase}'=Succeeded"
    space.run(f"kubectl wait {done} pod/filler --timeout=60s", seconds=70)
    space.run("kubectl delete pod filler --grace-period=0")


def service(uri: str, cache: str) -> Body:
    """Write a service of two pods that start at once."""
    sklearn = {"protocolVersion": "v2", "storageUri": uri, "resources": SMALL}
    annotations = {
        "serving.kserve.io/model-cache": cache,
        "serving.kserve.io/autoscalerClass": "none",
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "annotations": annotations},
        "spec": {"predictor": {"minReplicas": 2, "sklearn": sklearn}},
    }


@pytest.mark.timeout(400)
def test_two_pods_fetch_it_once(space: Space, model: LogisticRegression, claim: str) -> None:
    open_up(space, claim)
    space.apply(service(upload(space, model), f"pvc://{claim}/models"))
    space.wait("isvc/iris", 240)
    space.wait("pods -l serving.kserve.io/inferenceservice=iris", 60)
    assert answers(space, model)
    names = [pod["metadata"]["name"] for pod in space.pods("iris")]
    said = [space.run(f"kubectl logs {name} -c storage-initializer") for name in names]
    assert len(said) == 2, said
    assert sorted("came in" in text for text in said) == [False, True], said
    assert sorted(f"is in {CACHE} already" in text for text in said) == [False, True], said
    trees = {
        space.run(f"kubectl exec {name} -c kserve-container -- readlink /mnt/models/model.joblib")
        for name in names
    }
    assert len(trees) == 1, trees
    assert trees.pop().startswith("/mnt/model-cache/trees/")
