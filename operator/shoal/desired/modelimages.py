"""How a model that lies in an image comes to its server (contract §4.4). Pure.

```
 native     the image is a volume of the pod, which the kubelet pulls and mounts
 modelcar   the image runs beside the server, and links its own folder into a volume of both
```

`oci+native://` says native. `oci://` is what the configuration says; where that says nothing, it
stays what the pods have, so that no upgrade of a cluster makes them anew, and is native where the
API server offers such volumes without being asked to, else modelcar.

Callers: initcontainers, modelcars, and `reconcile` for what the API server leaves out.
"""

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shoal import names
from shoal.api.modelstorages import IMAGES, NATIVE_IMAGE
from shoal.desired import metadata, modelvolumes
from shoal.desired.modelvolumes import Model, Volume
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason

_FIRST_NATIVE: Final = (1, 33)  # with a folder of the image, behind a feature gate
_USUALLY_NATIVE: Final = (1, 35)  # the gate is open
_REFERENCE: Final = re.compile(r"[^\s/?#][^\s?#]*")


class Mode(enum.Enum):
    """How it comes."""

    NATIVE = "native"
    MODELCAR = "modelcar"


@dataclass(frozen=True, slots=True)
class Image:
    """A model in an image, and the volume that is named after its folder."""

    model: Model
    reference: str
    volume: str
    mode: Mode


def find(wanted: Wanted) -> list[Image]:
    """List the models that lie in images, in the order of the manifest.

    Raises:
        StalledError: an address names no image, or it cannot be mounted here.
    """
    predictor = wanted.service.predictor
    found = []
    for model in modelvolumes.models(predictor):
        if model.uri.startswith(IMAGES):
            folder = names.model_volume(model.folder)
            volume = names.IMAGE_VOLUME if predictor.storage_uri else folder
            mode = _mode(wanted, model, volume)
            found.append(Image(model, _reference(model), volume, mode))
    if found:
        _refuse_writing(wanted, found[0].model)
    return found


def volumes(images: Sequence[Image]) -> Iterator[Volume]:
    """Make the volumes of those that the kubelet mounts."""
    path = {"subPath": names.IMAGE_MODEL_DIR.strip("/")}
    for image in images:
        if image.mode is Mode.NATIVE:
            source = {"image": {"reference": image.reference}}
            yield Volume(image.volume, image.model.folder, source, path)


def of_pods(deployment: Mapping[str, Any]) -> set[str]:
    """Name the volumes of a Deployment's pods that are images, be they the user's own."""
    rows = _pod(deployment).get("volumes") or []
    return {row["name"] for row in rows if row.get("image")}


def _reference(model: Model) -> str:
    reference = model.uri.partition("://")[2]
    if not _REFERENCE.fullmatch(reference):
        raise StalledError(
            Reason.INVALID_SPEC, f"{model.field}: {model.uri!r} is not of the form oci://IMAGE"
        )
    return reference


def _refuse_writing(wanted: Wanted, model: Model) -> None:
    annotation = names.STORAGE_READ_ONLY_ANNOTATION
    if metadata.component_annotations(wanted).get(annotation) == "false":
        raise StalledError(
            Reason.INVALID_SPEC,
            f"{model.field}: what is in an image can only be read; remove the annotation"
            f' {annotation}: "false"',
        )


def _mode(wanted: Wanted, model: Model, volume: str) -> Mode:
    config = wanted.config.storage_initializer
    if model.uri.startswith(NATIVE_IMAGE):
        mode = Mode.NATIVE
    elif config.oci_model_mode:
        mode = Mode(config.oci_model_mode)
    else:
        mode = _chosen(wanted, model, volume)
    if mode is Mode.NATIVE and wanted.kubernetes < _FIRST_NATIVE:
        raise _unserved(
            model,
            f"an image can be a volume from Kubernetes {_spelt(_FIRST_NATIVE)} on, and the API"
            f" server is {_spelt(wanted.kubernetes)}; write oci:// with ociModelMode modelcar in"
            " the configuration (storageInitializer)",
        )
    return mode


def _chosen(wanted: Wanted, model: Model, volume: str) -> Mode:
    """Choose where nobody did."""
    config = wanted.config.storage_initializer
    if not (config.enable_modelcar or config.enable_oci_model_support):
        raise _unserved(
            model,
            "oci:// is switched off by enableModelcar in the configuration (storageInitializer);"
            " set ociModelMode there, or write oci+native://",
        )
    before = wanted.deployment or {}
    if volume in of_pods(before):
        return Mode.NATIVE
    boxes = _pod(before).get("initContainers") or []
    has_cars = any(box["name"] in names.MODELCAR_CONTAINERS for box in boxes)
    is_usual = wanted.kubernetes >= _USUALLY_NATIVE
    if config.enable_modelcar and (has_cars or not is_usual):
        return Mode.MODELCAR
    if is_usual:
        return Mode.NATIVE
    raise _unserved(
        model,
        f"images are volumes without being asked for from Kubernetes {_spelt(_USUALLY_NATIVE)} on,"
        f" and the API server is {_spelt(wanted.kubernetes)}; set enableModelcar or ociModelMode"
        " in the configuration (storageInitializer)",
    )


def _pod(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    template: Mapping[str, Any] = (deployment.get("spec") or {}).get("template") or {}
    return template.get("spec") or {}


def _spelt(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _unserved(model: Model, why: str) -> StalledError:
    return StalledError(Reason.NOT_SUPPORTED, f"{model.field}: {why}")
