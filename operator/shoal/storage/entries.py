"""One entry of the Secret that `storage` of a model names, with its parameters over it. Pure.

```
 key K of the Secret   {"type": "s3", "bucket": "b", "access_key_id": …}    JSON of texts
 over it               the parameters of the InferenceService
 makes                 the address of storage://PATH, and a Holder for `credentials`
```

The rules and upstream's words are the contract's (§4.5). Callers: accounts, commands.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from shoal import storagespecs
from shoal.reasons import Reason
from shoal.storage import transfers
from shoal.storage.credentials import Holder
from shoal.storage.failures import FetchError, Kind
from shoal.storage.uris import Location, Scheme
from shoal.storagespecs import BUCKET, CA_BUNDLE, TYPE, StorageSpec

_SCHEMES = {kind: Scheme.AZ if kind == "azure" else Scheme(kind) for kind in storagespecs.TYPES}
_WITH_BUCKET = {"s3", "gs", "azure"}
# Upstream's names of an S3 entry's fields → annotations and keys of a Secret for S3.
_S3_ANNOTATIONS: Mapping[str, str] = {
    "endpoint_url": "s3-endpoint",
    "region": "s3-region",
    "verify_ssl": "s3-verifyssl",
    "anonymous": "s3-useanoncredential",
    "ca_bundle": "s3-cabundle",
    CA_BUNDLE: "s3-cabundle-configmap",
}
_S3_KEYS: Mapping[str, str] = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a store; `problem` says why the Secret's part is missing."""

    name: str
    fields: Mapping[str, str] = field(repr=False)
    problem: str = ""

    @property
    def kind(self) -> str:
        """The type of the store, "" where nothing tells it."""
        return self.fields.get(TYPE, "")

    @property
    def is_login(self) -> bool:
        """Whether it says who asks an S3 bucket, be it nobody; without it the pod's role may."""
        return "access_key_id" in self.fields or "anonymous" in self.fields

    @property
    def holder(self) -> Holder:
        """The entry as a Secret for its kind of storage alone would have it."""
        known = {TYPE, BUCKET, *_S3_ANNOTATIONS, *_S3_KEYS}
        data = {name: text for name, text in self.fields.items() if name not in known}
        data |= {_S3_KEYS[name]: self.fields[name] for name in _S3_KEYS if name in self.fields}
        annotations = {
            f"serving.kserve.io/{note}": self.fields[name]
            for name, note in _S3_ANNOTATIONS.items()
            if name in self.fields
        }
        return Holder(self.name, data, annotations)


def missing(spec: StorageSpec, problem: str) -> Entry:
    """Go by the parameters alone, where no entry needs to be there.

    Raises:
        FetchError: an entry was named.
    """
    if spec.key:
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, problem)
    return _checked(Entry("storage.parameters", spec.given, problem))


def read(spec: StorageSpec, secret: Holder) -> Entry:
    """Read the entry that is meant, with the parameters over it.

    Raises:
        FetchError: it is named and not there, or it cannot be read.
    """
    text = secret.data.get(spec.entry)
    if text is None:
        words = f"specified storage key {spec.key} not found in storage secret: "
        return missing(spec, f"{words if spec.key else ''}{secret.name} has no key {spec.entry}")
    name = f"{secret.name}, key {spec.entry}"
    given = {field_: value for field_, value in _fields(name, text).items() if value}
    return _checked(Entry(name, given | spec.given))


def locate(address: str, entry: Entry) -> Location:
    """Make the address of a model: that of the store where `address` is a path in it.

    Raises:
        FetchError: nothing tells the store or its bucket, it is of a kind that is not fetched, or
            it is of another kind than the address.
    """
    kind = entry.kind
    if kind and (refusal := storagespecs.refusal(kind)):
        raise _refused(f"{entry.name}: {refusal}")
    if address.startswith(storagespecs.PREFIX):
        return transfers.parse(_joined(address.removeprefix(storagespecs.PREFIX), entry))
    location = transfers.parse(address)
    if kind and _SCHEMES[kind] is not location.scheme:
        raise _refused(
            f"{entry.name}: is for storage type [{kind}], and storageUri is {location.shown}"
        )
    return location


def _joined(path: str, entry: Entry) -> str:
    kind, bucket = entry.kind, entry.fields.get(BUCKET, "")
    if not kind:
        why = entry.problem or f"{entry.name} has no type"
        raise _refused(
            f"unable to determine storage type: {why}; name it there or in storage.parameters.type"
        )
    if kind == "s3" and not bucket:
        raise _refused(
            f"{entry.name}: format [s3] requires a bucket but one wasn't found in storage data or "
            "parameters"
        )
    if bucket and kind not in _WITH_BUCKET:
        raise _refused(f"{entry.name}: storage type [{kind}] has no bucket; remove it")
    return f"{_SCHEMES[kind]}://{f'{bucket}/' if bucket else ''}{path}"


def _fields(name: str, text: str) -> dict[str, str]:
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise _unreadable(f"{name}: invalid json encountered: {error}") from error
    if not isinstance(fields, dict):
        raise _unreadable(f"{name}: must be a JSON object of texts")
    for field_, value in fields.items():
        if not isinstance(value, str):
            raise _unreadable(f"{name}: {field_} must be a text, in quotes")
    return fields


def _checked(entry: Entry) -> Entry:
    if len(_S3_KEYS.keys() & entry.fields.keys()) == 1:
        message = (
            f"{entry.name}: access_key_id and secret_access_key belong together; one is missing"
        )
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, message)
    return entry


def _unreadable(message: str) -> FetchError:
    return FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)


def _refused(message: str) -> FetchError:
    return FetchError(Kind.PERMANENT, Reason.INVALID_STORAGE_URI, message)
