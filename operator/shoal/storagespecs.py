"""`storage` of a model (contract §4.5), in the form in which operator and `shoal fetch` share it.

The operator reads no Secret, so the kind of the store and its bucket, which the Secret may have,
are not known before the model is fetched. Until then the address is `storage://PATH`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "storage://"
TYPE: Final = "type"
BUCKET: Final = "bucket"
CA_BUNDLE: Final = "cabundle_configmap"
PARAMETERS: Final = (
    TYPE, BUCKET, "endpoint_url", "region", "access_key_id", "anonymous", "verify_ssl",
    "ca_bundle", CA_BUNDLE, "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ENDPOINT", "HF_ENDPOINT",
)  # fmt: skip
"""What may stand in an InferenceService in place of the Secret's: nothing that is secret."""

TYPES: Final = ("s3", "gs", "azure", "hf", "https", "http")
HADOOP: Final = ("hdfs", "webhdfs")
"""Types of upstream's that are not fetched here; a container of somebody else's may do it."""


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """Which entry of which Secret has the credentials, and what is given in its place.

    An empty `key` is the entry `default`, or `default_<type>` where the parameters name a type;
    that one need not be there. An empty parameter is none.
    """

    secret: str
    key: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def entry(self) -> str:
        """The key of the Secret's data."""
        kind = self.given.get(TYPE, "")
        return self.key or (f"default_{kind}" if kind else "default")

    @property
    def given(self) -> dict[str, str]:
        """The parameters that have a value."""
        return {name: value for name, value in self.parameters.items() if value}

    def encode(self) -> str:
        """Write it as compact JSON."""
        row = {"secret": self.secret, "key": self.key, "parameters": self.given}
        given = {name: row[name] for name in row if row[name]}
        return json.dumps(given, sort_keys=True, separators=(",", ":"))


def decode(text: str) -> StorageSpec:
    """Read what `encode` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        return StorageSpec(**json.loads(text))
    except TypeError as error:
        raise ValueError(str(error)) from error


def refusal(kind: str) -> str:
    """Say why a storage type cannot be fetched from; "" where it can."""
    if kind in HADOOP:
        return (
            f"storage type [{kind}] is not fetched by this version; copy the model to a store of "
            "another type, or mount it as a claim (pvc://)"
        )
    if kind not in TYPES:
        known = ", ".join(TYPES)
        return f"storage type must be one of [{known}]. storage type [{kind}] is not supported"
    return ""


def located(uri: str, parameters: Mapping[str, str]) -> str:
    """Write the address of a path where the parameters alone tell the store and its bucket.

    Raises:
        ValueError: they do not; the message begins with the parameter that is missing.
    """
    if not uri.startswith(PREFIX):
        return uri
    kind, bucket = parameters.get(TYPE, ""), parameters.get(BUCKET, "")
    if not kind:
        raise ValueError(f"{TYPE}: unable to determine storage type")
    if kind == "s3" and not bucket:
        raise ValueError(f"{BUCKET}: format [s3] requires a bucket")
    return f"{kind}://{f'{bucket}/' if bucket else ''}{uri.removeprefix(PREFIX)}"


def address(path: str) -> str:
    """Write the address of a path, whose store the Secret or the parameters name."""
    return PREFIX + path.removeprefix("/")
