import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import modelconfig
from shoal.modelconfig import Model, ModelConfigError

NAMES = st.from_regex(r"[a-zA-Z0-9_-]+", fullmatch=True)
MODELS = st.lists(
    st.builds(Model, NAMES, st.text(), st.text(), st.text()),
    unique_by=lambda model: model.name,
)
ONE = Model("m", "s3://b/m", "sklearn", "256Mi")


@given(MODELS)
def test_what_is_encoded_decodes_to_the_same_models(models: list[Model]) -> None:
    wanted = tuple(sorted(models, key=lambda model: model.name))
    assert modelconfig.decode(modelconfig.encode(models)) == wanted


@given(MODELS)
def test_the_order_of_models_does_not_change_the_bytes(models: list[Model]) -> None:
    assert modelconfig.encode(models) == modelconfig.encode(reversed(models))


def test_the_bytes_are_upstreams() -> None:
    model = Model("model1-create", "s3//model1", "tensorflow", "1G")
    assert modelconfig.encode([model]) == {
        "models.json": '[{"modelName":"model1-create","modelSpec":'
        '{"storageUri":"s3//model1","framework":"tensorflow","memory":"1G"}}]'
    }


def row(**changes: object) -> str:
    whole: dict[str, object] = {
        "modelName": "m",
        "modelSpec": {"storageUri": "u", "framework": "f", "memory": "1Gi"},
    }
    return json.dumps([whole | changes])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param({}, "models.json: missing", id="no key"),
        pytest.param({"models.json": "[{"}, "models.json: Expecting", id="no JSON"),
        pytest.param({"models.json": "{}"}, "models.json: must be a list", id="no list"),
        pytest.param(
            {"models.json": "[1]"}, r"models.json\[0\]: must be an object", id="a number"
        ),
        pytest.param({"models.json": row(modelName="")}, "no name of a model", id="no name"),
        pytest.param({"models.json": row(modelName="../x")}, "no name of a model", id="a path"),
        pytest.param({"models.json": row(modelName=".x")}, "no name of a model", id="hidden"),
        pytest.param({"models.json": row(modelName=3)}, "modelName: must be a string", id="int"),
        pytest.param({"models.json": row(modelSpec=[])}, "modelSpec: must be an obj", id="list"),
        pytest.param(
            {"models.json": row(modelSpec={"storageUri": "u", "memory": "1"})},
            r"models.json\[0\].modelSpec.framework: must be a string",
            id="no framework",
        ),
        pytest.param(
            {"models.json": json.dumps(json.loads(row()) * 2)}, "'m' is listed twice", id="twice"
        ),
    ],
)
def test_unreadable_content_is_refused_with_its_place(data: dict[str, str], message: str) -> None:
    with pytest.raises(ModelConfigError, match=message):
        modelconfig.decode(data)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(Model("m", "s3://b/m", "sklearn", "1Gi"), True, id="memory: same"),
        pytest.param(Model("n", "s3://b/m", "sklearn", "256Mi"), True, id="name: same"),
        pytest.param(Model("m", "s3://b/n", "sklearn", "256Mi"), False, id="uri: other"),
        pytest.param(Model("m", "s3://b/m", "xgboost", "256Mi"), False, id="framework: other"),
    ],
)
def test_digest_follows_what_is_served(other: Model, same: bool) -> None:
    assert (other.digest == ONE.digest) is same
