import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import modelconfig
from shoal.modelconfig import Model, ModelConfigError

NAMES = st.from_regex(r"[a-zA-Z0-9_-]+", fullmatch=True)
MODELS = st.lists(
    st.builds(Model, NAMES, *[st.text()] * 6),
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


def test_what_the_user_asked_for_beyond_upstream_is_added() -> None:
    model = Model("m", "s3://m", "f", "1G", "2", "d", "s")
    assert modelconfig.encode([model])["models.json"].endswith(
        '"memory":"1G","refresh":"2","artifactDigest":"d","storageSecretName":"s"}}]'
    )


@given(MODELS, st.integers(1, 9999))
def test_a_shard_is_read_as_it_was_written(models: list[Model], count: int) -> None:
    rows = [modelconfig.row(model) for model in sorted(models, key=lambda model: model.name)]
    data = modelconfig.join(rows, count)
    shard = modelconfig.read(config_map(data))
    assert (shard.count, shard.digest) == (count, modelconfig.digest(data))
    assert shard.models == modelconfig.decode(modelconfig.encode(models))


@given(st.builds(Model, NAMES, *[st.text()] * 6))
def test_no_writer_of_json_needs_more_bytes_than_counted(model: Model) -> None:
    row = modelconfig.row(model)
    go = json.dumps(row, ensure_ascii=False)
    for char in "&<>\u2028\u2029":
        go = go.replace(char, f"\\u{ord(char):04x}")
    # Without the quotes around the whole, and with the comma before the next row.
    assert modelconfig.size(row) >= max(len(go.encode()), len(json.dumps(row))) - 2 + 1


def config_map(data: dict[str, str], digest: str | None = None) -> dict[str, Any]:
    told = {"internal.serving.kserve.io/models-digest": digest or modelconfig.digest(data)}
    return {"metadata": {"annotations": told}, "data": data}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param({"metadata": {}}, "not what the operator wrote", id="emptied"),
        pytest.param(
            {"metadata": {}, "data": modelconfig.encode([])},
            "not what the operator wrote",
            id="made-by-hand",
        ),
        pytest.param(
            config_map({"models.json": "[]"}, modelconfig.digest(modelconfig.encode([ONE]))),
            "not what the operator wrote",
            id="edited",
        ),
        pytest.param(
            config_map({"models.json": "[]"}, modelconfig.digest(modelconfig.join([], 2))),
            "not what the operator wrote",
            id="number-removed",
        ),
        pytest.param(config_map({}), "models.json: missing", id="nothing-in-it"),
        pytest.param(
            config_map({"models.json": "[]", "shards": "0"}),
            "shards: '0' is no number of ConfigMaps",
            id="no-number",
        ),
        pytest.param(
            config_map({"models.json": "[]", "shards": "12345"}), "no number", id="absurd-number"
        ),
        pytest.param(
            config_map({"models.json": "[]", "shards": "+2"}), "no number", id="signed-number"
        ),
    ],
)
def test_what_the_operator_did_not_write_is_refused(written: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelConfigError, match=message):
        modelconfig.read(written)


def test_what_others_add_to_a_config_map_does_not_matter() -> None:
    written = config_map(modelconfig.encode([ONE]))
    written["data"]["mine"] = "x"
    assert modelconfig.read(written).models == (ONE,)


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
        pytest.param(replace(ONE, refresh="2"), False, id="refresh: other"),
        pytest.param(replace(ONE, artifact_digest="2"), False, id="artifact digest: other"),
        pytest.param(
            Model("m", "s3://b/m", "sklearn", "256Mi", "", "", "2"), True, id="secret: same"
        ),
    ],
)
def test_digest_follows_what_is_served(other: Model, same: bool) -> None:
    assert (other.digest == ONE.digest) is same
