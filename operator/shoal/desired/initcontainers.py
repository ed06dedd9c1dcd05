"""The models of a service's own, in their folders before its server starts (contract §4.2, §4.3).

```
 pvc://CLAIM/PATH   the claim's folder, mounted; nothing is copied
 file:///PATH       the folder of a volume that the server has, mounted once more
 oci://IMAGE        /models of the image: as a volume, or by way of a sidecar
 any other          storage-initializer: `shoal fetch URI FOLDER …`, into an emptyDir, or the
                    ClusterStorageContainer that was chosen (`downloaders`)
```

Upstream has a webhook change the pods; here it is in the Deployment. Called by `deployments`
and, for the Role, by `children`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from shoal import names
from shoal.api import modelannotations, modelstorages
from shoal.desired import (
    additions,
    bundles,
    credentials,
    downloaders,
    modelcaches,
    modelcars,
    modelimages,
    modelvolumes,
)
from shoal.desired.modelcars import Car
from shoal.desired.modelvolumes import Model, Volume
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import servers

_USER: Final = "the model that storageUri names"
_USERS: Final = "a model that storageUris names"


def has_models(wanted: Wanted) -> bool:
    """Tell whether the service has models of its own."""
    return bool(modelvolumes.models(wanted.service.predictor))


def is_wanted(wanted: Wanted) -> bool:
    """Tell whether there is a model to fetch, and no init container of the user's for it."""
    return bool(_fetched(wanted)) and not modelstorages.is_own(wanted.server.pod)


def inject(wanted: Wanted, pod: Mapping[str, Any]) -> dict[str, Any]:
    """Add the models to a pod's spec, unless the user's own `storage-initializer` does.

    Raises:
        StalledError: an address names no claim, volume or image, or the user has a volume or
            mount there, or annotations contradict each other or the user's own init container.
    """
    if modelstorages.is_own(pod):
        _refuse_unread(wanted, "an init container of one's own, storage-initializer,")
        return dict(pod)
    volumes, cars = _places(wanted, pod)
    new = [{"name": each.name, **each.source} for each in volumes if each.source is not None]
    added = (
        downloaders.volumes(wanted)
        if wanted.foreign_container
        else [additions.token_volume(), *bundles.volumes(wanted)]
    )
    taken = {row["name"] for row in (*new, *added)}
    additions.refuse_names(pod, "volumes", taken, _user(wanted))
    made = {
        **pod,
        "containers": _mounted(wanted, pod, volumes, {car.image.model.folder for car in cars}),
        "volumes": [*(pod.get("volumes") or []), *new],
    }
    if _fetched(wanted):
        made = {
            **additions.without_token(made),
            "initContainers": [*(pod.get("initContainers") or []), _fetcher(wanted, volumes)],
            "volumes": [*made["volumes"], *added],
        }
    return modelcars.inject(wanted, made, cars)


def _places(wanted: Wanted, pod: Mapping[str, Any]) -> tuple[list[Volume], list[Car]]:
    """Make all volumes, that of what is fetched first, and the images that are to run."""
    server = pod["containers"][servers.server_index(pod["containers"])]
    images = modelimages.find(wanted)
    volumes = modelvolumes.make(wanted.service.predictor, server)
    volumes += [*modelimages.volumes(images), *modelcaches.make(wanted)]
    cars = modelcars.make(wanted, images, volumes)
    placed = {each.path: each for each in (*volumes, *(car.volume for car in cars))}
    return list(placed.values()), cars


def asks_api(wanted: Wanted) -> bool:
    """Tell whether the init container of the pods reads credentials through the API itself."""
    if not wanted.server.kept:
        return wanted.foreign_container is None
    pod = wanted.server.kept["spec"]["template"]["spec"]
    volumes = {row["name"] for row in pod.get("volumes") or []}
    return names.AGENT_TOKEN_VOLUME in volumes


def _fetcher(wanted: Wanted, volumes: Sequence[Volume]) -> dict[str, Any]:
    """Make the init container; the first volume is that of what it fetches."""
    first = {"name": volumes[0].name, "mountPath": volumes[0].path}
    mounts = [first, *_inner(volumes), *modelcaches.mounts(volumes)]
    if foreign := wanted.foreign_container:
        _refuse_unread(wanted, foreign.title)
        return downloaders.merge(downloaders.make(wanted, mounts), foreign)
    made, container = make(wanted, mounts), wanted.storage_container
    return downloaders.merge(made, container) if container else made


def make(wanted: Wanted, mounts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make the operator's own init container, with the mounts of what it fetches."""
    values = {
        "SHOAL_NAMESPACE": wanted.namespace,
        "SHOAL_SERVICE_ACCOUNT": wanted.service.predictor.service_account_name,
        **_whose(wanted),
        "SHOAL_ARTIFACT_DIGEST": wanted.service.annotation(names.ARTIFACT_DIGEST_ANNOTATION),
        **modelcaches.env(wanted),
        **bundles.env(wanted),
        **additions.fetch_limits(wanted.config.agent),
    }
    config = wanted.config.storage_initializer
    pairs = [word for model in _fetched(wanted) for word in (model.uri, model.folder)]
    return {
        **additions.container(names.STORAGE_INITIALIZER_CONTAINER, config),
        # Not the one for upstream's own program, whose arguments are others.
        "image": wanted.config.agent.image,
        "args": ["fetch", *pairs],
        "env": additions.env(values),
        "volumeMounts": [
            mounts[0],
            additions.token_mount(),
            *bundles.mounts(wanted),
            *mounts[1:],
        ],
    }


def _inner(volumes: Sequence[Volume]) -> list[dict[str, Any]]:
    """Mount the claims that are to lie below what is fetched.

    That makes the folders that they are mounted at; for the server they could not be made, where
    it may only read.
    """
    return [
        additions.mount(volume.name, volume.path) | volume.more
        for volume in volumes[1:]
        if volume.path.startswith(f"{volumes[0].path}/")
        and volume.name != names.MODEL_CACHE_VOLUME  # there to be written to
    ]


def _fetched(wanted: Wanted) -> list[Model]:
    found = modelvolumes.models(wanted.service.predictor)
    return [model for model in found if not model.is_mounted]


def _user(wanted: Wanted) -> str:
    return _USER if wanted.service.predictor.storage_uri else _USERS


def _whose(wanted: Wanted) -> dict[str, str]:
    """Say where the credentials are; nothing of them is in the pod's spec (docs/adr/0006)."""
    if spec := credentials.spec(wanted):
        return {"SHOAL_STORAGE_SPEC": spec.encode()}
    return {"SHOAL_STORAGE_SECRET": credentials.secret(wanted)}


def _refuse_unread(wanted: Wanted, whose: str) -> None:
    """Refuse what another's program would not read: a promise is kept or not made."""
    for key in modelannotations.KEYS:
        path, value = modelannotations.locate(
            wanted.service.metadata, wanted.service.predictor, key
        )
        if value:
            raise StalledError(
                Reason.INVALID_SPEC,
                f"{path}: has no use where {whose} brings the model; remove one of the two",
            )


def _mounted(
    wanted: Wanted, pod: Mapping[str, Any], volumes: Sequence[Volume], linked: Collection[str]
) -> list[dict[str, Any]]:
    """Mount the models into the server, and into a transformer that stands beside it."""
    server = servers.server_index(pod["containers"])
    mounts = [_mount(wanted, volume) for volume in volumes]
    taken = {volume.path for volume in volumes} | set(linked)
    made = []
    for index, box in enumerate(pod["containers"]):
        if index == server or box["name"] == names.TRANSFORMER_CONTAINER:
            additions.refuse_mounts(box, f"containers[{index}]", taken, _user(wanted))
            users = box.get("volumeMounts") or []
            made.append({**box, "env": _env(box), "volumeMounts": [*users, *mounts]})
        else:
            made.append(box)
    return made


def _mount(wanted: Wanted, volume: Volume) -> dict[str, Any]:
    """Mount one; where others are mounted below, only what may be written has room for them."""
    if volume.is_links:
        return {"name": volume.name, "mountPath": volume.path}
    return additions.server_mount(wanted, volume.name, volume.path) | volume.more


def _env(box: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tell the server where the model is, where it reads STORAGE_URI."""
    return [
        row | {"value": names.MODEL_DIR}
        if row["name"] == names.STORAGE_URI_VARIABLE and row.get("value")
        else row
        for row in box.get("env") or []
    ]
