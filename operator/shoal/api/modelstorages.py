"""What must hold of `storage` of a model (contract §4.5). Pure. Caller: inferenceservices."""

from typing import Final

from shoal import storagespecs
from shoal.api.components import ModelStorageSpec
from shoal.api.fields import invalid
from shoal.api.predictors import Predictor

_CLAIM: Final = "pvc://"


def check(predictor: Predictor) -> None:
    """Look at the storage of a predictor's model.

    Raises:
        StalledError: it contradicts storageUri or itself; the message names the field.
    """
    for key, spec in predictor.framework_specs().items():
        if spec.storage is not None:
            at = f"spec.predictor.{key}.storage"
            _check_address(at, spec.storage_uri or "", spec.storage)
            _check_parameters(f"{at}.parameters", spec.storage.parameters or {})


def _check_address(at: str, uri: str, storage: ModelStorageSpec) -> None:
    if uri and storage.path is not None:
        raise invalid(f"{at}.path", "is given beside storageUri; remove one of the two")
    if not uri and storage.path is None:
        raise invalid(
            f"{at}.path", "must say where in the store the model is, or storageUri beside it must"
        )
    if uri.startswith(_CLAIM):
        raise invalid(at, "has no use for a claim, which is mounted; remove it")


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
    if kind and (refusal := storagespecs.refusal(kind)):
        raise invalid(f"{at}[{storagespecs.TYPE}]", refusal)
