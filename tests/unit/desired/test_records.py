"""What makes a pod template anew, and what does not."""

import json
from dataclasses import replace

import pytest

from shoal.api import settings
from shoal.desired import deployments, records
from shoal.desired.records import Record
from support import builders
from support.builders import Body, Json

OWN = {"labels": {"team": "a"}, "annotations": {"contact": "a@example.com"}}
NEW = {"labels": {"team": "b"}, "annotations": {"at": "noon"}}
MINE = {"agent": json.dumps({"image": "mine:1"})}


def _made(
    before: Body | None = None,
    meta: Body | None = None,
    *,
    image: str = "shoal:1",
    config: dict[str, str] | None = None,
    **predictor: Json,
) -> Body:
    """Make the Deployment over the one before, by an operator of this image."""
    body = builders.inference_service(predictor=predictor, **(meta or OWN))
    wanted = builders.wanted(body, is_host=True, deployment=before)
    read = settings.parse(config or {}, default_image=image)
    return deployments.make(replace(wanted, config=read))


def _template(made: Body) -> Body:
    found: Body = made["spec"]["template"]
    return found


def _agent(made: Body) -> str:
    found: str = _template(made)["spec"]["containers"][-1]["image"]
    return found


@pytest.mark.weakness("C22")
def test_a_label_or_annotation_of_the_service_restarts_no_pod() -> None:
    before = _made()
    after = _made(before, NEW)
    assert _template(after) == _template(before)
    assert after["metadata"]["labels"]["team"] == "b"
    assert after["metadata"]["annotations"]["at"] == "noon"
    assert _made(after, NEW) == after


def test_another_release_of_the_operator_restarts_no_pod() -> None:
    before = _made()
    after = _made(before, image="shoal:2")
    assert after == before
    assert _agent(after) == "shoal:1"


def test_pods_that_are_made_anew_have_all_that_is_new() -> None:
    after = _made(_made(), NEW, image="shoal:2", nodeSelector={"a": "b"})
    assert after == _made(None, NEW, image="shoal:2", nodeSelector={"a": "b"})
    assert _agent(after) == "shoal:2"


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_what_the_predictor_names_is_in_its_pods_at_once(field: str) -> None:
    after = _made(_made(), **{field: {"team": "c"}})
    assert _template(after)["metadata"][field]["team"] == "c"


def test_an_annotation_that_changes_the_pods_is_followed() -> None:
    secret = {"annotations": {"serving.kserve.io/storageSecretName": "s"}}
    after = _made(_made(), secret)
    env = _template(after)["spec"]["containers"][-1]["env"]
    assert {"name": "SHOAL_STORAGE_SECRET", "value": "s"} in env
    assert "contact" not in _template(after)["metadata"]["annotations"]


def test_an_image_that_the_configuration_names_is_followed() -> None:
    assert _agent(_made(_made(), config=MINE)) == "mine:1"


def test_a_named_image_that_is_the_operators_own_restarts_nothing() -> None:
    own = {"agent": json.dumps({"image": "shoal:1"})}
    before = _made(config=own)
    after = _made(before, config=own, image="shoal:2")
    assert _template(after) == _template(before)


def test_a_record_is_read_back() -> None:
    record = Record("t", "i", {"a": "b"}, {"c": "d"})
    assert records.decode({"metadata": {"annotations": record.encode()}}) == record


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("{", None, id="no-json"),
        pytest.param("[]", None, id="no-object"),
        pytest.param('{"template":"t","later":1}', Record("t"), id="of-a-later-release"),
    ],
)
def test_what_is_read(text: str | None, expected: Record | None) -> None:
    key = "internal.serving.kserve.io/pod-template"
    annotations = {} if text is None else {key: text}
    assert records.decode({"metadata": {"annotations": annotations}}) == expected


def test_what_the_pods_lack_is_named_but_not_what_is_for_the_operator() -> None:
    meta = {**NEW, "annotations": {"at": "noon", "serving.kserve.io/stop": "false"}}
    body = builders.inference_service(**meta)
    before = _made()
    wanted = builders.wanted(body, is_host=True, deployment=before)
    assert deployments.behind(wanted, before) == ["at", "contact", "team"]
    assert deployments.behind(wanted, {"metadata": {}}) == []


def test_what_the_predictor_says_itself_is_no_lack() -> None:
    body = builders.inference_service(**NEW, predictor={"labels": {"team": "c"}})
    before = _made(labels={"team": "c"})
    wanted = builders.wanted(body, is_host=True, deployment=before)
    assert deployments.behind(wanted, before) == ["at", "contact"]
