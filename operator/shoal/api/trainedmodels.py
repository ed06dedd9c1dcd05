"""TrainedModel (contract §1.4, §6.4): one model on a shared server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import ConfigDict

from shoal.api import quantities
from shoal.api.fields import NAME_PATTERN, Fields, Quantity, Rule, invalid, rules, validate
from shoal.api.meta import Metadata

SCHEMES: Final = ("s3://", "gs://", "https://", "http://")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")
_NAME_MESSAGE: Final = (
    "a Trained Model name must consist of alphanumeric characters, '_', or '-'. "
    '(e.g. "my-Name" or "abc_123", regex used for validation is \'^[a-zA-Z0-9_-]+$\')'
)
_SCHEME_MESSAGE: Final = (
    f"The storage uri must start with one of the prefixes: {', '.join(SCHEMES)}."
)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """One model, and the InferenceService (same namespace) whose servers load it.

    `memory` is in canonical spelling.
    """

    metadata: Metadata
    inference_service: str
    storage_uri: str
    framework: str
    memory: str


def parse(body: Mapping[str, Any]) -> TrainedModel:
    """Read a stored TrainedModel.

    Raises:
        StalledError: a field is missing or wrong, with its path.
    """
    metadata = Metadata.parse(body)
    spec = validate(Spec, body.get("spec") or {}, at="spec")
    model = spec.model
    if not _NAME.fullmatch(metadata.name):
        raise invalid("metadata.name", _NAME_MESSAGE)
    if not model.storage_uri.startswith(SCHEMES):
        raise invalid(
            "spec.model.storageUri",
            f'{_SCHEME_MESSAGE} (the storage uri given is "{model.storage_uri}")',
        )
    if quantities.parse(model.memory) <= 0:
        raise invalid("spec.model.memory", "must be greater than 0")
    return TrainedModel(
        metadata=metadata,
        inference_service=spec.inference_service,
        storage_uri=model.storage_uri,
        framework=model.framework,
        memory=quantities.canonical(model.memory),
    )


class Model(Fields):
    """What to load."""

    storage_uri: Annotated[
        str,
        Rule(
            " || ".join(f"self.startsWith('{scheme}')" for scheme in SCHEMES),
            f"storageUri field is invalid. {_SCHEME_MESSAGE}",
            dynamic=f"""'storageUri field is invalid. {_SCHEME_MESSAGE} """
            """(the storage uri given is "' + self + '")'""",
        ),
    ]
    """Where the model's files are: s3://, gs://, https:// or http://.
    A change is loaded beside the version that serves, and replaces it once it is in."""

    framework: str
    """The framework of the model, such as sklearn, tensorflow or custom; passed to the server."""

    memory: Annotated[
        Quantity,
        Rule("quantity(string(self)).isGreaterThan(quantity('0'))", "must be greater than 0"),
    ]
    """The memory that the model takes. Models are admitted, oldest first, while the sum fits
    into the memory limit of the server's container. Immutable."""


class Spec(Fields):
    """The model, and the service whose servers load it."""

    inference_service: Annotated[
        str,
        Rule(
            f"self.matches('{NAME_PATTERN}')",
            "must be the name of an InferenceService in the same namespace",
        ),
    ]
    """Name of the InferenceService, in the same namespace, whose servers load the model.
    It may be created later; the model waits for it."""

    model: Model
    """What to load."""


class Root(Fields):
    """One model on the shared servers of an InferenceService.

    Ready means that every ready replica answers with the model that this spec names.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "oldSelf.hasValue() || self.metadata.name.matches('^[a-zA-Z0-9_-]+$')",
                _NAME_MESSAGE,
                optional_old_self=True,
            ),
            Rule(
                "quantity(string(self.spec.model.memory))"
                ".compareTo(quantity(string(oldSelf.spec.model.memory))) == 0",
                "memory field is immutable",
                dynamic="""'memory field is immutable. The memory was "' """
                """+ string(oldSelf.spec.model.memory) + '" but it is updated to "' """
                """+ string(self.spec.model.memory) + '"'""",
                field=".spec.model.memory",
            ),
        )
    )

    spec: Spec
    """What is wanted."""
