from typing import Any

import pytest

from shoal.api import trainedmodels
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders

MODEL: dict[str, Any] = {"storageUri": "s3://b/a", "framework": "sklearn", "memory": "1Gi"}


def body(name: str = "m", *, parent: Any = "parent", **model: Any) -> dict[str, Any]:
    spec = {"inferenceService": parent, "model": {**MODEL, **model}}
    return {"metadata": builders.metadata(name), "spec": spec}


def test_a_model_is_read() -> None:
    model = trainedmodels.parse(body())

    assert model.metadata.name == "m"
    assert model.inference_service == "parent"
    assert (model.storage_uri, model.framework, model.memory) == ("s3://b/a", "sklearn", "1Gi")


@pytest.mark.parametrize(
    ("memory", "spelt"), [("1024Mi", "1Gi"), (1073741824, "1073741824"), ("0.5G", "500M")]
)
def test_memory_is_spelt_canonically(memory: str | int, spelt: str) -> None:
    assert trainedmodels.parse(body(memory=memory)).memory == spelt


def test_an_unknown_field_is_tolerated() -> None:
    assert trainedmodels.parse(body(colour="blue")) == trainedmodels.parse(body())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"metadata": {}}, "spec.inferenceService: field required", id="no-spec"),
        pytest.param(
            body(parent=3),
            "spec.inferenceService: Input should be a valid string, got 3",
            id="parent-not-a-string",
        ),
        pytest.param(
            body(storageUri=None),
            "spec.model.storageUri: field required",
            id="null-is-absent",
        ),
        pytest.param(
            body(storageUri="ftp://a"),
            "spec.model.storageUri: The storage uri must start with one of the prefixes: s3://, "
            'gs://, https://, http://. (the storage uri given is "ftp://a")',
            id="scheme-unknown",
        ),
        pytest.param(
            body(memory="0"), "spec.model.memory: must be greater than 0", id="memory-zero"
        ),
        pytest.param(
            body(memory="big"),
            "spec.model.memory: 'big' is not a quantity such as 500m, 2 or 1.5Gi",
            id="memory-malformed",
        ),
        pytest.param(
            body("a.b"),
            "metadata.name: a Trained Model name must consist of",
            id="name-with-dot",
        ),
    ],
)
def test_a_wrong_field_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(StalledError) as raised:
        trainedmodels.parse(wrong)

    assert raised.value.reason is Reason.INVALID_SPEC
    assert raised.value.message.startswith(message)
