from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from shoal.api import schemas
from shoal.api.fields import Fields, Quantity, Rule, rules
from shoal.api.schemas import NotStructuralError


class Leaf(BaseModel):
    """A leaf."""

    text: str | None = None


class Tree(BaseModel):
    """A tree."""

    tree: Tree | None = None


def made(annotation: Any, default: Any = ...) -> Any:
    class Model(BaseModel):
        field: annotation = default

    return schemas.make(Model)["properties"]["field"]


@pytest.mark.parametrize(
    ("annotation", "default", "schema"),
    [
        pytest.param(str, ..., {"type": "string"}, id="text"),
        pytest.param(str | None, None, {"type": "string"}, id="optional-is-plain"),
        pytest.param(str, "a", {"type": "string", "default": "a"}, id="default-stays"),
        pytest.param(
            Literal["a", "b"], ..., {"type": "string", "enum": ["a", "b"]}, id="literal-is-enum"
        ),
        pytest.param(
            dict[str, str],
            ...,
            {"type": "object", "additionalProperties": {"type": "string"}},
            id="map",
        ),
        pytest.param(
            dict[str, Any],
            ...,
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            id="anything-is-preserved",
        ),
        pytest.param(
            list[Leaf],
            ...,
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "description": "A leaf.",
                    "properties": {"text": {"type": "string"}},
                },
            },
            id="references-are-put-in",
        ),
        pytest.param(
            int | str,
            ...,
            {
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "x-kubernetes-int-or-string": True,
            },
            id="int-or-string",
        ),
        pytest.param(
            Annotated[str, Field(json_schema_extra={"format": "uuid"})],
            ...,
            {"type": "string"},
            id="formats-unknown-to-kubernetes-go",
        ),
        pytest.param(
            Annotated[int, Rule("self > 0", "positive"), Rule("self < 9", "small", field=".a")],
            ...,
            {
                "type": "integer",
                "x-kubernetes-validations": [
                    {"rule": "self > 0", "message": "positive"},
                    {"rule": "self < 9", "message": "small", "fieldPath": ".a"},
                ],
            },
            id="rules-of-a-field",
        ),
    ],
)
def test_a_type_becomes(annotation: Any, default: Any, schema: dict[str, Any]) -> None:
    assert made(annotation, default) == schema


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        pytest.param(tuple[int, str], "tuples", id="tuple"),
        pytest.param(str | bool, "union", id="union"),
        pytest.param(Leaf | Tree, "union", id="union-of-objects"),
        pytest.param(Tree, "contains itself", id="recursion"),
    ],
)
def test_what_is_not_structural_raises(annotation: Any, message: str) -> None:
    with pytest.raises(NotStructuralError, match=message):
        made(annotation)


def test_a_quantity_has_upstreams_pattern() -> None:
    schema = made(Quantity)

    assert schema["x-kubernetes-int-or-string"]
    assert "[numkMGTPE]" in schema["pattern"]


def test_a_docstring_becomes_one_paragraph_a_blank_line_two() -> None:
    class Described(Fields):
        """First
        line.

        Second.
        """

    assert schemas.make(Described)["description"] == "First line.\n\nSecond."


def test_rules_of_a_type_say_all_they_can() -> None:
    rule = Rule("self.a", "m", dynamic="'m' + self.b", optional_old_self=True)

    assert rules(rule) == {
        "x-kubernetes-validations": [
            {
                "rule": "self.a",
                "message": "m",
                "messageExpression": "'m' + self.b",
                "optionalOldSelf": True,
            }
        ]
    }


def test_a_patch_is_laid_over_a_field() -> None:
    class Outer(BaseModel):
        leaf: Leaf
        number: int | str | None = None

    patches: dict[str, dict[str, Any]] = {
        "Outer.number": {"anyOf": None, "type": "boolean"},
        "Leaf.text": {"maxLength": 3},
    }

    schema = schemas.make(Outer, patches=patches)["properties"]

    assert schema["number"] == {"type": "boolean"}
    assert schema["leaf"]["properties"]["text"] == {"type": "string", "maxLength": 3}
