"""Where a service's own models come from and lie: volumes and mounts (contract §4.2, §4.3). Pure.

```
                 storageUri              storageUris
 pvc://CLAIM/P   kserve-pvc-source       one volume for each, named after its mount path
 file:///PATH    the volume that the server has mounted there, mounted once more
 oci://IMAGE     kserve-oci-source       one for each; or links: see modelimages, modelcars
 any other       kserve-provision-…      one for all, mounted at the folder that they share
```

A path is one of the server's container: the init container has none of its volumes, and what it
has besides, such as its token, is not for the server.

Callers: initcontainers, modelimages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal import names
from shoal.api import modelstorages
from shoal.api.fields import invalid
from shoal.api.modelstorages import CLAIM, FILE, MOUNTED
from shoal.api.predictors import Predictor
from shoal.errors import StalledError
from shoal.reasons import Reason


@dataclass(frozen=True, slots=True)
class Model:
    """One address, the folder that it is to be in, and the field that says so."""

    uri: str
    folder: str
    field: str

    @property
    def is_mounted(self) -> bool:
        """Whether it is mounted, not fetched."""
        return self.uri.startswith(MOUNTED)


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume of the pod, and where it is mounted; without a source it is the user's.

    `is_links` tells that it has nothing but links to models; others are mounted below it.
    """

    name: str
    path: str
    source: dict[str, Any] | None = None
    more: dict[str, str] = field(default_factory=dict)  # of the mount
    is_links: bool = False


def models(predictor: Predictor) -> list[Model]:
    """List the models that the predictor's server begins with, in the order of the manifest."""
    if predictor.storage_uri:
        return [
            Model(predictor.storage_uri, names.MODEL_DIR, modelstorages.address_field(predictor))
        ]
    rows = predictor.storage_uris or []
    return [
        Model(row.uri, row.folder, f"spec.predictor.storageUris[{index}].uri")
        for index, row in enumerate(rows)
    ]


def make(predictor: Predictor, server: Mapping[str, Any]) -> list[Volume]:
    """Make the volumes for a server's container, but for those of images.

    The first is that of what is fetched, if anything is.

    Raises:
        StalledError: an address names no claim, or a path that no volume is mounted at.
    """
    found = models(predictor)
    is_one = bool(predictor.storage_uri)
    folders = [model.folder for model in found if not model.is_mounted]
    made = []
    if folders:
        shared = parent(folders)
        name = names.PROVISION_VOLUME if is_one else names.model_volume(shared)
        made.append(Volume(name, shared, {"emptyDir": {}}))
    for model in found:
        if model.uri.startswith(FILE):
            made.append(_mounted_before(model, server))
        elif model.uri.startswith(CLAIM):
            name = names.CLAIM_VOLUME if is_one else names.model_volume(model.folder)
            made.append(_claim(model, name))
    return made


def of_claim(name: str, folder: str, uri: str) -> Volume:
    """Make the volume of a claim that an address names, with the mount of its path.

    Raises:
        ValueError: the address names none.
    """
    claim, path = modelstorages.parse_claim(uri)
    source = {"persistentVolumeClaim": {"claimName": claim}}
    return Volume(name, folder, source, {"subPath": path} if path else {})


def parent(folders: Sequence[str]) -> str:
    """Find the folder that all of these are or are in."""
    shared = folders[0].split("/")
    for folder in folders[1:]:
        steps = folder.split("/")
        same = [mine == theirs for mine, theirs in zip(shared, steps, strict=False)]
        shared = shared[: same.index(False) if False in same else len(same)]
    return "/".join(shared)


def _claim(model: Model, name: str) -> Volume:
    try:
        return of_claim(name, model.folder, model.uri)
    except ValueError as error:
        raise invalid(model.field, str(error)) from error


def _mounted_before(model: Model, server: Mapping[str, Any]) -> Volume:
    """Find the volume that has a path; of several the one that is mounted closest to it."""
    steps = _steps(model.uri.removeprefix(FILE))
    fitting = [
        row
        for row in server.get("volumeMounts") or []
        if steps[: len(_steps(row["mountPath"]))] == _steps(row["mountPath"])
        and "subPathExpr" not in row
    ]
    if not fitting or ".." in steps:
        raise StalledError(
            Reason.INVALID_SPEC,
            f"{model.field}: {model.uri!r} must be file:///PATH, with a path at or below one "
            "where the server's container mounts a volume",
        )
    mount = max(fitting, key=lambda row: len(_steps(row["mountPath"])))
    below = steps[len(_steps(mount["mountPath"])) :]
    path = "/".join(filter(None, [str(mount.get("subPath") or "").strip("/"), *below]))
    return Volume(mount["name"], model.folder, more={"subPath": path} if path else {})


def _steps(path: str) -> list[str]:
    return path.rstrip("/").split("/")
