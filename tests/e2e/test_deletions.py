"""A service goes with all its models, and one made anew under its name begins without them."""

import pytest

from e2e.conftest import MakeSpace, now
from support.audits import Audit
from support.spaces import Space
from support.terminals import Body, until

MODELS = 60


@pytest.fixture
def space(make_space: MakeSpace) -> Space:
    """A server with many models, which are nowhere: none needs to be loaded to be deleted."""
    made = make_space("e2e-deletions")
    made.serve()
    made.apply(*(_model(f"m{number}") for number in range(MODELS)))
    until(lambda: _owned(made), MODELS.__eq__, 60, "every model belongs to the service")
    return made


def _model(name: str) -> dict[str, object]:
    model = {"storageUri": "http://127.0.0.1:1/m", "framework": "custom", "memory": "1Mi"}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": name},
        "spec": {"inferenceService": "server", "model": model},
    }


def _owned(space: Space) -> int:
    return sum(bool(item["metadata"].get("ownerReferences")) for item in _models(space))


@pytest.mark.weakness("M9")
@pytest.mark.timeout(240)
def test_models_go_with_their_service_and_not_to_the_next(space: Space, audit: Audit) -> None:
    manifest = space.get("inferenceservice/server")
    fresh = {key: manifest[key] for key in ("apiVersion", "kind", "spec")}
    with audit.gap(now):  # the old agent outlives its Role by moments
        space.run("kubectl delete inferenceservice server")
        space.apply({**fresh, "metadata": {"name": "server"}})
        until(lambda: len(_models(space)), (0).__eq__, 30, "all models are gone")
        ready = "kubectl wait --for=condition=Ready inferenceservice/server --timeout=90s"
        space.run(ready, seconds=95)


def _models(space: Space) -> list[Body]:
    items: list[Body] = space.get("trainedmodels")["items"]
    return items
