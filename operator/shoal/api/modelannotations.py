"""What annotations ask for the models of a service's own; not those of TrainedModels. Pure.

They are ours, so no manifest that is made for upstream has them: what would not act is refused.
An annotation of the predictor goes over one of the service. Caller: inferenceservices.
"""

from typing import Final

from shoal import modelconfig, names
from shoal.api import modelstorages
from shoal.api.fields import invalid
from shoal.api.meta import Metadata
from shoal.api.modelstorages import MOUNTED
from shoal.api.predictors import Predictor

KEYS: Final = (names.ARTIFACT_DIGEST_ANNOTATION, names.MODEL_CACHE_ANNOTATION)


def check(metadata: Metadata, predictor: Predictor) -> None:
    """Look at the annotations.

    Raises:
        StalledError: one is malformed, or nothing would come of it; the message names it.
    """
    for key, find_fault in zip(KEYS, (_digest_fault, _cache_fault), strict=True):
        path, value = locate(metadata, predictor, key)
        if fault := find_fault(value, predictor) if value else "":
            raise invalid(path, fault)


def locate(metadata: Metadata, predictor: Predictor, key: str) -> tuple[str, str]:
    """Find an annotation; return its path and its value, which is "" where there is none."""
    own = predictor.annotations.get(key, "")
    at = "spec.predictor.annotations" if own else "metadata.annotations"
    return f"{at}[{key}]", own or metadata.annotations.get(key, "")


def _digest_fault(digest: str, predictor: Predictor) -> str:
    if fault := modelconfig.digest_fault(digest):
        return fault
    if predictor.storage_uris:
        return "is of one model, and storageUris may name several; name the model by storageUri"
    if not predictor.storage_uri:
        return (
            "has no use for a service without a model of its own; annotate its TrainedModels, "
            "each with its own"
        )
    if predictor.storage_uri.startswith(MOUNTED):
        return "cannot be checked for what is mounted and not fetched; remove it"
    return ""


def _cache_fault(cache: str, predictor: Predictor) -> str:
    try:
        modelstorages.parse_claim(cache)
    except ValueError as error:
        return str(error)
    rows = predictor.storage_uris or []
    uris = [predictor.storage_uri] if predictor.storage_uri else [row.uri for row in rows]
    if not uris:
        return (
            "has no use for a service without a model of its own; TrainedModels are in a store "
            "of each pod"
        )
    if all(uri.startswith(MOUNTED) for uri in uris):
        return "has no use for what is mounted and not fetched; remove it"
    for index, row in enumerate(rows):
        if f"{row.folder}/".startswith(f"{names.MODEL_CACHE_DIR}/"):
            return (
                f"is mounted at {names.MODEL_CACHE_DIR}, and spec.predictor.storageUris[{index}]"
                ".mountPath is there too; choose another"
            )
    return ""
