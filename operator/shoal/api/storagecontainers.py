"""ClusterStorageContainer (contract §1.6, §4.1): what fetches models of some addresses.

Upstream ignores a regex where there is a prefix, and fails every service for one that it cannot
compile. Here the API server refuses both, and what it let pass matches nothing and is named.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from shoal.api import podspecs
from shoal.api.fields import Fields, Raw, Rule, rules, validate
from shoal.api.meta import Metadata

KIND: Final = "ClusterStorageContainer"
INIT_CONTAINER: Final = "initContainer"
_LONGEST_REGEX: Final = 1024
_LONGEST_MATCHED: Final = 2048  # a search may take time that grows with the address's square
_ONE_OF_TWO: Final = Rule(
    "(has(self.prefix) && self.prefix != '') != (has(self.regex) && self.regex != '')",
    "exactly one of prefix and regex must be given",
)
# CEL has no other way to ask whether a text is a regex; one that is none fails the rule.
_COMPILES: Final = Rule("'x'.matches(self) ? true : true", "must be a regular expression")


class SupportedUriFormat(Fields):
    """Addresses that the container fetches: by their beginning, or by a regular expression."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_OF_TWO))

    prefix: str | None = None
    """How the address begins, such as demo://."""

    regex: Annotated[str, Field(max_length=_LONGEST_REGEX), _COMPILES] | None = None
    """What is searched for in the address, anywhere in it unless it has ^ and $."""

    def supports(self, uri: str) -> bool:
        """Tell whether an address is one of these."""
        if self.prefix:
            return uri.startswith(self.prefix)
        if not self.regex or self.problem or len(uri) > _LONGEST_MATCHED:
            return False
        return re.search(self.regex, uri) is not None

    @property
    def problem(self) -> str:
        """Why the regular expression cannot be used, "" where it can."""
        try:
            re.compile(self.regex or "")
        except (re.error, OverflowError, RecursionError) as error:
            return f"{self.regex!r} is no regular expression: {error}"
        return ""


class Spec(Fields):
    """Which addresses are fetched, and by what."""

    container: Annotated[Raw, WithJsonSchema(podspecs.kubernetes("V1Container"))]
    """What is merged over the init container; without an image it is the operator's own."""

    supported_uri_formats: Annotated[list[SupportedUriFormat], Field(max_length=64)]
    """The addresses that it fetches."""

    workload_type: Literal["initContainer", "localModelDownloadJob"] = INIT_CONTAINER
    """What it is for: initContainer, of services; localModelDownloadJob, of KServe's caches."""

    supports_multi_model_download: bool = False
    """Whether it takes several pairs of an address and a folder."""


@dataclass(frozen=True, slots=True)
class StorageContainer:
    """A stored ClusterStorageContainer."""

    metadata: Metadata
    spec: Spec
    disabled: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @property
    def title(self) -> str:
        """Its kind and name, for messages."""
        return f"{KIND} {self.name}"

    @property
    def is_ours(self) -> bool:
        """Whether it only changes the operator's own init container, because it has no image."""
        return not self.spec.container.get("image")

    @property
    def problems(self) -> list[str]:
        """Which of its regular expressions cannot be used, and why."""
        return [
            f"{self.title}: spec.supportedUriFormats[{index}].regex: {row.problem}"
            for index, row in enumerate(self.spec.supported_uri_formats)
            if row.problem
        ]

    def supports(self, uri: str) -> bool:
        """Tell whether it fetches an address."""
        return any(row.supports(uri) for row in self.spec.supported_uri_formats)


def parse(body: Mapping[str, Any]) -> StorageContainer:
    """Read a stored ClusterStorageContainer.

    Raises:
        StalledError: a field is missing or wrong, with its path.
    """
    metadata = Metadata.parse(body)
    root = validate(Root, body, at=f"{KIND} {metadata.name}")
    return StorageContainer(metadata, root.spec, disabled=bool(root.disabled))


class Root(Fields):
    """A container that fetches the models of services whose address it supports."""

    spec: Spec
    """Which addresses are fetched, and by what."""

    disabled: bool | None = None
    """Whether it is never used."""
