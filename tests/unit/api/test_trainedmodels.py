from typing import Any

import pytest

from shoal import modelconfig
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


def test_what_annotations_ask_for_reaches_the_agents() -> None:
    digest = "sha256:" + "0" * 64
    asked = body()
    asked["metadata"]["annotations"] = {
        "serving.kserve.io/refresh": "2",
        "serving.kserve.io/artifact-digest": digest,
        "serving.kserve.io/storageSecretName": "key",
    }

    entry = trainedmodels.parse(asked).entry

    assert (entry.refresh, entry.artifact_digest, entry.storage_secret) == ("2", digest, "key")


@pytest.mark.parametrize(
    ("annotation", "served", "expected"),
    [
        pytest.param("", "", "", id="never-refreshed"),
        pytest.param("new", "old", "new", id="what-is-asked-counts"),
        pytest.param("", "old", "old", id="removing-the-annotation-changes-nothing"),
    ],
)
def test_the_refresh_that_counts(annotation: str, served: str, expected: str) -> None:
    key = "serving.kserve.io/refresh"
    made = body() | {"status": {"annotations": {key: served}} if served else {}}
    made["metadata"]["annotations"] = {key: annotation} if annotation else {}
    assert trainedmodels.parse(made).entry.refresh == expected


def test_a_malformed_digest_is_named() -> None:
    wrong = body()
    wrong["metadata"]["annotations"] = {"serving.kserve.io/artifact-digest": "md5:12"}
    with pytest.raises(StalledError, match=r"metadata.annotations\[serving.kserve.io/artifact-"):
        trainedmodels.parse(wrong)


def sized(size: int) -> dict[str, Any]:
    """Make a model that takes so many bytes in the list."""
    rest = modelconfig.size(modelconfig.row(trainedmodels.parse(body(storageUri="s3://")).entry))
    return body(storageUri="s3://" + "x" * (size - rest))


def test_a_model_may_take_what_it_may_take() -> None:
    entry = trainedmodels.parse(sized(modelconfig.LARGEST_MODEL)).entry
    assert modelconfig.size(modelconfig.row(entry)) == modelconfig.LARGEST_MODEL


def test_a_model_that_is_too_big_is_refused_with_the_numbers() -> None:
    with pytest.raises(StalledError) as caught:
        trainedmodels.parse(sized(modelconfig.LARGEST_MODEL + 1))
    assert caught.value.reason is Reason.MODEL_TOO_BIG
    assert caught.value.message == (
        "spec.model.storageUri: too long: the model would take 16385 bytes in its server's list "
        "of models, where one may take 16384; shorten it"
    )


def test_a_refused_annotation_is_named() -> None:
    refused = body()
    refused["metadata"]["annotations"] = {"serving.kserve.io/refresh": "\U0001f41f" * 1500}
    with pytest.raises(StalledError, match=r"metadata.annotations\[serving.kserve.io/refresh\]"):
        trainedmodels.parse(refused)


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
            'gs://, https://, http://, az://, hf://, pvc://. (the storage uri given is "ftp://a")',
            id="scheme-unknown",
        ),
        pytest.param(
            body(storageUri="oci://a/b:1"),
            "spec.model.storageUri: The storage uri must start with one of the prefixes: s3://, ",
            id="an-image",
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
