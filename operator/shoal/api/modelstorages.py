"""What must hold of the places that a predictor's models come from. Pure.

`storage` is the contract's §4.5, `storageUris` its §4.3. Caller: inferenceservices.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal import names, storagespecs
from shoal.api import components, isvcrules
from shoal.api.components import ModelStorageSpec, StorageUri
from shoal.api.fields import invalid
from shoal.api.predictors import Predictor

CLAIM: Final = "pvc://"
FILE: Final = "file://"
NATIVE_IMAGE: Final = "oci+native://"
IMAGES: Final = ("oci://", NATIVE_IMAGE)
MOUNTED: Final = (CLAIM, FILE, *IMAGES)
"""Addresses of what is mounted and not fetched."""

_MANY: Final = "spec.predictor.storageUris"


def parse_claim(uri: str) -> tuple[str, str]:
    """Read `pvc://CLAIM/PATH`: the claim, and the path without slashes around it.

    Raises:
        ValueError: it is something else, or its path leads up.
    """
    claim, _, path = uri.removeprefix(CLAIM).partition("/")
    if not uri.startswith(CLAIM) or not claim or ".." in path.split("/"):
        raise ValueError(f"{uri!r} is not of the form pvc://CLAIM/PATH")
    return claim, path.strip("/")


def check(predictor: Predictor) -> None:
    """Look at the storage of a predictor's models.

    Raises:
        StalledError: it contradicts itself; the message names the field.
    """
    if predictor.storage_uri.startswith(components.FETCHED_IMAGE):
        raise invalid(address_field(predictor), components.NO_FETCHED_IMAGE)
    for key, spec in predictor.framework_specs().items():
        if spec.storage is not None:
            at = f"spec.predictor.{key}.storage"
            if predictor.storage_uris:
                raise invalid(at, "is given beside storageUris; remove one of the two")
            _check_address(at, spec.storage_uri or "", spec.storage)
            _check_parameters(f"{at}.parameters", spec.storage.parameters or {})
    if predictor.storage_uris:
        _check_many(predictor, predictor.storage_uris)


def address_field(predictor: Predictor) -> str:
    """Name the field that has the address of a predictor's one model."""
    for key in predictor.framework_specs():
        return f"spec.predictor.{key}.storageUri"
    return f"spec.predictor.containers[0].env[{names.STORAGE_URI_VARIABLE}]"


def is_own(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod has an init container of the user's that brings the models."""
    boxes = pod.get("initContainers") or []
    return any(box.get("name") == names.STORAGE_INITIALIZER_CONTAINER for box in boxes)


def is_fetched(predictor: Predictor) -> bool:
    """Tell whether an init container of ours is to fetch models, and not one of the user's."""
    if is_own(predictor.pod):
        return False
    uris = [predictor.storage_uri, *(row.uri for row in predictor.storage_uris or ())]
    return any(uri and not uri.startswith(MOUNTED) for uri in uris)


def _check_address(at: str, uri: str, storage: ModelStorageSpec) -> None:
    if uri and storage.path is not None:
        raise invalid(f"{at}.path", "is given beside storageUri; remove one of the two")
    if not uri and storage.path is None:
        raise invalid(
            f"{at}.path", "must say where in the store the model is, or storageUri beside it must"
        )
    if uri.startswith(MOUNTED):
        raise invalid(at, "has no use for what is mounted; remove it")


def _check_parameters(at: str, parameters: dict[str, str]) -> None:
    for name in parameters:
        if name not in storagespecs.PARAMETERS:
            known = ", ".join(storagespecs.PARAMETERS)
            raise invalid(
                f"{at}[{name}]",
                f"is none of {known}; write it into the entry of the Secret, above all what is "
                "secret",
            )
    kind = parameters.get(storagespecs.TYPE, "")
    is_known = not kind or kind in storagespecs.HADOOP
    if not is_known and (refusal := storagespecs.refusal(kind)):
        raise invalid(f"{at}[{storagespecs.TYPE}]", refusal)


def _check_many(predictor: Predictor, rows: Sequence[StorageUri]) -> None:
    if predictor.storage_uri:
        raise invalid(_MANY, isvcrules.BOTH_STORAGES)
    _check_images(rows)
    for index, row in enumerate(rows):
        at = f"{_MANY}[{index}].mountPath"
        if not row.mount_path.startswith("/") or row.folder == "/":
            raise invalid(at, components.ABSOLUTE)
        if ".." in row.mount_path.split("/"):
            raise invalid(at, components.NOT_UP)
        for other, before in enumerate(rows):
            if index != other:
                _check_two(at, row, f"{_MANY}[{other}]", before)
    if len({row.folder.split("/")[1] for row in rows if not row.uri.startswith(CLAIM)}) > 1:
        raise invalid(_MANY, components.ONE_PARENT)


def _check_images(rows: Sequence[StorageUri]) -> None:
    if sum(row.uri.startswith(IMAGES) for row in rows) > components.MOST_IMAGES:
        raise invalid(_MANY, components.TOO_MANY_IMAGES)
    for index, row in enumerate(rows):
        if row.uri.startswith(components.FETCHED_IMAGE):
            raise invalid(f"{_MANY}[{index}].uri", components.NO_FETCHED_IMAGE)


def _check_two(at: str, row: StorageUri, other: str, before: StorageUri) -> None:
    if row.folder == before.folder:
        raise invalid(at, f"{row.folder} is the folder of {other} too; give each one of its own")
    if before.uri.startswith(MOUNTED) and row.folder.startswith(f"{before.folder}/"):
        raise invalid(at, f"{row.folder} lies in the volume of {other}; give it a folder outside")
