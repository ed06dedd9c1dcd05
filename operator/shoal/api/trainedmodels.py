"""TrainedModel (contract §1.4, §6.4): one model on a shared server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import ConfigDict

from shoal import modelconfig, names
from shoal.api import quantities
from shoal.api.fields import NAME_PATTERN, Fields, Quantity, Rule, invalid, rules, validate
from shoal.api.meta import Metadata
from shoal.errors import StalledError
from shoal.reasons import Reason

# Upstream's four first, in its order (contract §6.4), then what its agent cannot fetch.
SCHEMES: Final = ("s3://", "gs://", "https://", "http://", "az://", "hf://", "pvc://")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")
_NAME_MESSAGE: Final = (
    "a Trained Model name must consist of alphanumeric characters, '_', or '-'. "
    '(e.g. "my-Name" or "abc_123", regex used for validation is \'^[a-zA-Z0-9_-]+$\')'
)
_SURELY_SMALL: Final = modelconfig.LARGEST_MODEL // 16  # JSON within JSON: 12 bytes a character
_SCHEME_MESSAGE: Final = (
    f"The storage uri must start with one of the prefixes: {', '.join(SCHEMES)}."
)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """One model, and the InferenceService (same namespace) whose servers load it.

    `memory` is in canonical spelling; `refreshed` is the refresh that was served last, by the
    status: it goes on to count when its annotation is removed, so that removing it does nothing.
    `fault` is why the object cannot be read; all else is then as it was before.
    """

    metadata: Metadata
    inference_service: str
    storage_uri: str
    framework: str
    memory: str
    refreshed: str = ""
    fault: StalledError | None = None

    @property
    def entry(self) -> modelconfig.Model:
        """The model as its servers' agents are told of it, with what its annotations ask for."""
        annotations = self.metadata.annotations
        return modelconfig.Model(
            name=self.metadata.name,
            storage_uri=self.storage_uri,
            framework=self.framework,
            memory=self.memory,
            refresh=annotations.get(names.REFRESH_ANNOTATION, "") or self.refreshed,
            artifact_digest=annotations.get(names.ARTIFACT_DIGEST_ANNOTATION, ""),
            storage_secret=annotations.get(names.STORAGE_SECRET_ANNOTATION, ""),
        )


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
    digest = metadata.annotations.get(names.ARTIFACT_DIGEST_ANNOTATION, "")
    if fault := modelconfig.digest_fault(digest):
        raise invalid(f"metadata.annotations[{names.ARTIFACT_DIGEST_ANNOTATION}]", fault)
    if quantities.parse(model.memory) <= 0:
        raise invalid("spec.model.memory", "must be greater than 0")
    made = TrainedModel(
        metadata=metadata,
        inference_service=spec.inference_service,
        storage_uri=model.storage_uri,
        framework=model.framework,
        memory=quantities.canonical(model.memory),
        refreshed=_refreshed(body.get("status") or {}),
    )
    _refuse_big(made.entry)
    return made


def kept(body: Mapping[str, Any], entry: modelconfig.Model, fault: StalledError) -> TrainedModel:
    """Make the model that was listed before its object became one that cannot be read.

    It is served on, as after any update that fails.
    """
    annotations = {
        names.REFRESH_ANNOTATION: entry.refresh,
        names.ARTIFACT_DIGEST_ANNOTATION: entry.artifact_digest,
        names.STORAGE_SECRET_ANNOTATION: entry.storage_secret,
    }
    return TrainedModel(
        metadata=replace(Metadata.parse(body), annotations=annotations),
        inference_service=body["spec"]["inferenceService"],
        storage_uri=entry.storage_uri,
        framework=entry.framework,
        memory=entry.memory,
        refreshed=_refreshed(body.get("status") or {}),
        fault=fault,
    )


def _refuse_big(entry: modelconfig.Model) -> None:
    """Refuse what would not leave room for others in the list of models."""
    texts = {
        "spec.model.storageUri": entry.storage_uri,
        "spec.model.framework": entry.framework,
        f"metadata.annotations[{names.REFRESH_ANNOTATION}]": entry.refresh,
        f"metadata.annotations[{names.STORAGE_SECRET_ANNOTATION}]": entry.storage_secret,
    }
    if sum(map(len, texts.values())) < _SURELY_SMALL:
        return
    size = modelconfig.size(modelconfig.row(entry))
    if size > modelconfig.LARGEST_MODEL:
        path = max(texts, key=lambda path: len(texts[path]))
        raise StalledError(
            Reason.MODEL_TOO_BIG,
            f"{path}: too long: the model would take {size} bytes in its server's list of models,"
            f" where one may take {modelconfig.LARGEST_MODEL}; shorten it",
        )


def _refreshed(status: Mapping[str, Any]) -> str:
    return str((status.get("annotations") or {}).get(names.REFRESH_ANNOTATION, ""))


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
    """Where the model's files are: s3://, gs://, az://, hf://, pvc://, https:// or http://;
    https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH is Azure Blob Storage.
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
