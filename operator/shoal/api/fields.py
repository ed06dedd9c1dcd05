"""What every type of the API is built from: base type, scalar types, CEL rules, errors.

A type here serves twice: the operator validates stored objects with it, and `crds` makes the
schema that the API server enforces. A `Rule` is the part that only the API server checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from shoal.api import quantities
from shoal.errors import StalledError
from shoal.reasons import Reason

T = TypeVar("T", bound=BaseModel)

VALIDATIONS: Final = "x-kubernetes-validations"
NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


@dataclass(frozen=True)
class Rule:
    """A CEL rule of the CRD: on a field as `Annotated[...]`, on a type by `rules`."""

    expression: str
    message: str = ""
    dynamic: str = ""  # a CEL expression that makes the message; `message` is the fallback
    field: str = ""  # ".spec.x": the field that a refusal names
    optional_old_self: bool = False  # also evaluated at creation, with `oldSelf` optional

    def encode(self) -> dict[str, Any]:
        """Write the rule as one entry of `x-kubernetes-validations`."""
        entry: dict[str, Any] = {"rule": self.expression, "message": self.message}
        if self.dynamic:
            entry["messageExpression"] = self.dynamic
        if self.field:
            entry["fieldPath"] = self.field
        if self.optional_old_self:
            entry["optionalOldSelf"] = True
        return entry

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Append the rule to the schema of the annotated field."""
        schema = handler(core)
        schema[VALIDATIONS] = [*schema.get(VALIDATIONS, []), self.encode()]
        return schema


@dataclass(frozen=True)
class Shape:
    """The schema of a field that the operator keeps raw, as the user wrote it."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Give the schema of the model in place of the raw field's own."""
        del core
        return handler(self.model.__pydantic_core_schema__)


def rules(*entries: Rule) -> dict[str, Any]:
    """Make the `json_schema_extra` of a type whose objects must obey the rules."""
    return {VALIDATIONS: [entry.encode() for entry in entries]}


class Fields(BaseModel):
    """A frozen object of the API: camelCase outside, unknown fields tolerated, null is absent."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, raw: object) -> object:
        if isinstance(raw, Mapping):
            return {key: value for key, value in raw.items() if value is not None}
        return raw


def _check_quantity(value: str | int) -> str | int:
    quantities.parse(value)
    return value


QUANTITY_SCHEMA: Final = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": quantities.PATTERN,
    "x-kubernetes-int-or-string": True,
}
Int32 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int32"})]
Int64 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
Quantity = Annotated[
    str | int, AfterValidator(_check_quantity), WithJsonSchema(dict(QUANTITY_SCHEMA))
]
Raw = dict[str, Any]


def validate(model: type[T], raw: object, *, at: str) -> T:
    """Validate a part of an object that the API server stored.

    Raises:
        StalledError: a field is wrong; the message names it by its path, which begins at `at`.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise invalid(_path(at, first["loc"]), _message(first)) from error


def invalid(path: str, message: str) -> StalledError:
    """Make the error for a field that only the user can mend."""
    return StalledError(Reason.INVALID_SPEC, f"{path}: {message}")


def _path(at: str, steps: Sequence[int | str]) -> str:
    path = at
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path


def _message(error: Mapping[str, Any]) -> str:
    text: str = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("missing", "value_error"):
        return text[:1].lower() + text[1:] if error["type"] == "missing" else text
    return f"{text}, got {error['input']!r:.80}"
