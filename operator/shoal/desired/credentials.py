"""Which Secrets and ConfigMaps have what a service's stores ask for (contract §4.5).

Only their names: the operator reads none of them. Callers: roles, initcontainers, sidecars.
"""

from shoal import names, storagespecs
from shoal.desired import metadata
from shoal.desired.wanted import Wanted
from shoal.storagespecs import StorageSpec


def secret(wanted: Wanted) -> str:
    """Read the Secret that an annotation of the service or its predictor names; "" is none."""
    annotation = wanted.config.credentials.storage_secret_name_annotation
    return metadata.component_annotations(wanted).get(annotation, "")


def spec(wanted: Wanted) -> StorageSpec | None:
    """Tell which entry of which Secret `storage` of the service's own model names."""
    storage = wanted.service.predictor.storage
    if storage is None:
        return None
    usual = wanted.config.credentials.storage_spec_secret_name
    return StorageSpec(secret(wanted) or usual, storage.key or "", storage.parameters or {})


def secrets(wanted: Wanted) -> list[str]:
    """Name all Secrets that may be read; with `storage` the ServiceAccount's are not used."""
    if given := spec(wanted):
        return [given.secret]
    named = {model.storage_secret for model in wanted.models}
    return sorted({*wanted.secrets, secret(wanted), *named} - {""})


def bundles(wanted: Wanted) -> list[str]:
    """Name the ConfigMaps with an authority; what a Secret names by itself is not seen here."""
    annotations = metadata.component_annotations(wanted)
    found = {wanted.ca_bundle, annotations.get(names.CA_BUNDLE_ANNOTATION, "")}
    if given := spec(wanted):
        found.add(given.given.get(storagespecs.CA_BUNDLE, ""))
    return sorted(found - {""})
