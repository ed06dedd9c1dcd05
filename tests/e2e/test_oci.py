"""A model in an image on the node: its sidecar brings it, dies and comes back; what is told."""

import pytest
from sklearn.linear_model import LogisticRegression

from support import flowers
from support.spaces import Space
from support.terminals import Body, Terminal, condition, until

pytestmark = pytest.mark.usefixtures("mlserver")

IMAGE = "localhost/iris-model:1"
DOCKERFILE = "ARG BASE=busybox\nFROM ${BASE}\nCOPY model.joblib /models/\n"


@pytest.fixture(scope="module", autouse=True)
def model_image(
    terminal: Terminal, model: LogisticRegression, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An image on the node that has the model."""
    context = tmp_path_factory.mktemp("iris-model")
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "model.joblib").write_bytes(flowers.file(model))
    terminal.run(f"python tests/cluster/image.py --context {context} --tag {IMAGE}", seconds=280)


def boxes(space: Space) -> dict[str, Body]:
    """Read the states of the pod's containers by their names."""
    (pod,) = space.pods("iris")
    fields = ("initContainerStatuses", "containerStatuses")
    rows = [row for field in fields for row in pod["status"].get(field) or ()]
    return {row["name"]: row for row in rows}


@pytest.mark.timeout(290)
def test_it_answers_also_after_its_sidecar_was_killed(
    space: Space, model: LogisticRegression
) -> None:
    flowers.serve(space, f"oci://{IMAGE}")
    space.wait("isvc/iris", 120)
    assert flowers.answers(space, model)
    pod = space.pod("iris")
    server = f"kubectl exec {pod} -c kserve-container -- sh -c"
    before = space.run(f"{server} 'readlink /mnt/models'")
    space.run(f"{server} 'kill $(readlink /mnt/models | cut -d/ -f3)'")
    until(
        lambda: boxes(space)["modelcar"],
        lambda row: row["restartCount"] > 0 and row["ready"],
        60,
        "the sidecar is back",
    )
    space.wait("isvc/iris", 60)
    assert flowers.answers(space, model)
    assert space.run(f"{server} 'readlink /mnt/models'") != before
    assert space.run(f"{server} 'ls /mnt/models'").split() == ["model.joblib"]
    assert space.pod("iris") == pod
    assert boxes(space)["kserve-container"]["restartCount"] == 0


@pytest.mark.timeout(290)
@pytest.mark.parametrize(
    ("image", "said"),
    [
        pytest.param(
            "localhost/no-such-model:1", 'Container "modelcar" cannot start (', id="no-image"
        ),
        pytest.param(
            "localhost/shoal:dev",
            "localhost/shoal:dev has no folder /models that user 1010 may open",
            id="no-model",
        ),
    ],
)
def test_an_image_without_it_is_told(
    space: Space, model: LogisticRegression, image: str, said: str
) -> None:
    flowers.serve(space, f"oci://{image}")
    told = condition(flowers.blocked(space), "Ready")["message"]
    assert told.startswith(said)
    assert image in told
    assert said in space.run("kubectl describe isvc iris")
    flowers.serve(space, f"oci://{IMAGE}")
    space.wait("isvc/iris", 120)
    assert flowers.answers(space, model)
