"""One scikit-learn model on MLServer, as a service of its own: made, asked, compared."""

import io
import json
from typing import Any

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

from support.spaces import Space
from support.terminals import Body, Terminal, condition, until

IMAGE = "--context servers/mlserver --tag localhost/shoal-mlserver:dev"
FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 3.0, 4.2, 1.5]])
KINDS = np.array([0, 2, 1])
SMALL = {
    "requests": {"cpu": "50m", "memory": "256Mi"},
    "limits": {"cpu": "1", "memory": "1Gi"},
}
ASKED = json.dumps(
    {
        "inputs": [
            {
                "name": "input-0",
                "shape": list(FLOWERS.shape),
                "datatype": "FP64",
                "data": FLOWERS.ravel().tolist(),
            }
        ]
    }
)


def image(terminal: Terminal) -> None:
    """Have the image that the chart's runtime names."""
    terminal.run(f"python tests/cluster/image.py {IMAGE}", seconds=900)


def train() -> LogisticRegression:
    """Make the model."""
    return LogisticRegression().fit(FLOWERS, KINDS)


def file(model: LogisticRegression) -> bytes:
    """Write it as its server reads it."""
    sink = io.BytesIO()
    joblib.dump(model, sink)
    return sink.getvalue()


def upload(space: Space, model: LogisticRegression, name: str = "iris") -> str:
    """Put it into the namespace's bucket; return its URI."""
    return space.put(name, {"model.joblib": file(model)})


def serve(space: Space, uri: str) -> None:
    """Make the service for a URI."""
    deploy(space, {"storageUri": uri})


def deploy(space: Space, given: Body, **predictor: Any) -> None:
    """Make the service; `given` says where its model is."""
    sklearn = {"protocolVersion": "v2", "resources": SMALL, **given}
    space.apply(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "iris"},
            "spec": {"predictor": {"sklearn": sklearn, **predictor}},
        }
    )


def blocked(space: Space) -> Body:
    """Wait until the model cannot be had; return the service."""
    return until(
        lambda: space.get("isvc/iris"),
        lambda body: condition(body, "Ready").get("reason") == "ModelLoadFailed",
        60,
        "the service says why it has no model",
    )


def answers(space: Space, model: LogisticRegression) -> bool:
    """Tell whether the service answers through the ingress what the model answers."""
    answer = space.ask("iris", "iris", ASKED)
    assert answer.status == 200, answer.text
    outputs = json.loads(answer.text)["outputs"]
    return bool(outputs[0]["data"] == model.predict(FLOWERS).tolist())
