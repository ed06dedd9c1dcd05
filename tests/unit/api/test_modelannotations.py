import re
from typing import Any

import pytest

from shoal.api import inferenceservices
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders
from support.builders import Body

ARTIFACT = "serving.kserve.io/artifact-digest"
CACHE = "serving.kserve.io/model-cache"
DIGEST = "sha256:" + "0" * 64
FETCHED = {"storageUri": "s3://b/m"}


def service(model: Body, key: str, value: str, **predictor: Any) -> Body:
    """Make a service with an annotation."""
    return builders.framework("onnx", model, predictor=predictor, annotations={key: value})


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(FETCHED, id="storage-uri"),
        pytest.param({"storage": {"path": "a"}}, id="storage"),
    ],
)
def test_a_digest_of_the_one_model(model: Body) -> None:
    parsed = inferenceservices.parse(service(model, ARTIFACT, DIGEST))
    assert parsed.annotation(ARTIFACT) == DIGEST


@pytest.mark.parametrize(
    ("model", "value", "many", "message"),
    [
        pytest.param(
            FETCHED,
            "sha256:12",
            [],
            "must be 'sha256:' and 64 lower-case hex digits, not 'sha256:12'",
            id="malformed",
        ),
        pytest.param(
            {"storageUri": "pvc://c/m"},
            DIGEST,
            [],
            "cannot be checked for what is mounted and not fetched; remove it",
            id="a-claim",
        ),
        pytest.param(
            {"storageUri": "file:///a/m"},
            DIGEST,
            [],
            "cannot be checked for what is mounted",
            id="a-volume",
        ),
        pytest.param(
            {},
            DIGEST,
            [{"uri": "s3://b/m"}],
            "is of one model, and storageUris may name several; name the model by storageUri",
            id="several",
        ),
        pytest.param(
            {},
            DIGEST,
            [],
            "has no use for a service without a model of its own; annotate its TrainedModels",
            id="a-host",
        ),
    ],
)
def test_a_digest_that_would_not_be_checked_is_refused(
    model: Body, value: str, many: list[Body], message: str
) -> None:
    given = {"storageUris": many} if many else {}
    with pytest.raises(StalledError, match=re.escape(message)) as caught:
        inferenceservices.parse(service(model, ARTIFACT, value, **given))
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message.startswith(f"metadata.annotations[{ARTIFACT}]: ")


@pytest.mark.parametrize("value", ["pvc://claim", "pvc://claim/", "pvc://claim/a/b"])
@pytest.mark.parametrize(
    ("model", "many"),
    [
        pytest.param(FETCHED, [], id="storage-uri"),
        pytest.param({"storage": {"path": "a"}}, [], id="storage"),
        pytest.param(
            {},
            [
                {"uri": "s3://b/m", "mountPath": "/mnt/models"},
                {"uri": "pvc://c/m", "mountPath": "/mnt/other"},
            ],
            id="one-of-several-is-fetched",
        ),
    ],
)
def test_a_cache_of_what_is_fetched(model: Body, many: list[Body], value: str) -> None:
    given = {"storageUris": many} if many else {}
    parsed = inferenceservices.parse(service(model, CACHE, value, **given))
    assert parsed.annotation(CACHE) == value


@pytest.mark.parametrize(
    ("model", "value", "many", "message"),
    [
        pytest.param(
            FETCHED, "claim", [], "'claim' is not of the form pvc://CLAIM/PATH", id="no-claim"
        ),
        pytest.param(FETCHED, "s3://b/m", [], "'s3://b/m' is not of the form", id="a-bucket"),
        pytest.param(FETCHED, "pvc://", [], "'pvc://' is not of the form", id="no-name"),
        pytest.param(FETCHED, "pvc:///a", [], "'pvc:///a' is not of the form", id="a-path-alone"),
        pytest.param(FETCHED, "pvc://c/../a", [], "is not of the form", id="a-way-up"),
        pytest.param(
            {"storageUri": "pvc://c/m"},
            "pvc://claim",
            [],
            "has no use for what is mounted and not fetched; remove it",
            id="a-claim",
        ),
        pytest.param(
            {"storageUri": "file:///a/m"},
            "pvc://claim",
            [],
            "has no use for what is mounted",
            id="a-volume",
        ),
        pytest.param(
            {}, "pvc://claim", [{"uri": "pvc://c/m"}], "has no use for what is", id="all-mounted"
        ),
        pytest.param(
            {},
            "pvc://claim",
            [{"uri": "s3://b/m", "mountPath": "/mnt/model-cache/a"}],
            "is mounted at /mnt/model-cache, and spec.predictor.storageUris[0].mountPath is there",
            id="a-model-in-it",
        ),
        pytest.param(
            {},
            "pvc://claim",
            [],
            "has no use for a service without a model of its own; TrainedModels are in a store",
            id="a-host",
        ),
    ],
)
def test_a_cache_that_would_not_act_is_refused(
    model: Body, value: str, many: list[Body], message: str
) -> None:
    given = {"storageUris": many} if many else {}
    with pytest.raises(StalledError, match=re.escape(message)) as caught:
        inferenceservices.parse(service(model, CACHE, value, **given))
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message.startswith(f"metadata.annotations[{CACHE}]: ")


def test_an_annotation_of_the_predictor_is_named_where_it_is() -> None:
    body = service(FETCHED, ARTIFACT, DIGEST, annotations={ARTIFACT: "odd"})
    with pytest.raises(StalledError, match=r"^spec\.predictor\.annotations\[serving"):
        inferenceservices.parse(body)


def test_an_empty_annotation_asks_for_nothing() -> None:
    assert inferenceservices.parse(service({}, ARTIFACT, "")).annotation(ARTIFACT) == ""
