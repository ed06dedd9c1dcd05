"""The sidecar whose image has a model, and what its pod needs for it (contract §4.4). Pure.

```
 modelcar         /mnt/modelcar/NAME ──► /proc/PID/root/models        the process's own PID
      the same volume
 kserve-container FOLDER/..    /NAME ──► read by way of the other's process
```

Nothing is copied. The kernel lets a process follow that link where both see each other's
processes, have the same user and group, and the one that is looked into has no more rights. So
the sidecar has no capabilities, and its user is the server's: the one that the user chose, else
the configuration's. The group is 0 where nobody says: as Kubernetes has it for users that an
image does not know, and many images with models let that group read.

It is an init container that goes on running: the kubelet starts the server only once the link
leads somewhere, makes the sidecar anew when it dies, which links its new PID, and ends it after
the server. A server that waits for its model, as upstream's has to (`MODEL_INIT_MODE`), is not
needed. The volume is mounted a folder above the model's, because the link has its place.

Caller: initcontainers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shoal import names
from shoal.api import quantities
from shoal.api.settings import SidecarConfig, StorageInitializerConfig
from shoal.desired import additions
from shoal.desired.modelimages import Image, Mode
from shoal.desired.modelvolumes import Volume
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import servers

# An image with a model need not have more than sh, ln and sleep. Arguments: the model's folder,
# the link, the image and the user. `cd -P` follows links, which would lead elsewhere from the
# server. Not being the pod's first process, sleep ends at once when it is told to.
SCRIPT: Final = """\
cd -P "$1" 2>/dev/null || { echo "$3 has no folder $1 that user $4 may open" >&2; exit 1; }
[ -L "$2" ] || [ ! -d "$2" ] || { echo "$3: ${2##*/} is a folder of another model" >&2; exit 1; }
ln -sfn "/proc/$$/root$PWD" "$2" && exec sleep 2147483647
"""
_IS_LINKED: Final = '[ -d "$1/." ]'
# The kubelet's question at the start is a process of the container: with less it takes seconds.
_LEAST_CPU_LIMIT: Final = "100m"
_QUESTIONS: Final[Mapping[str, int]] = {
    "periodSeconds": 1,
    "timeoutSeconds": 10,
    "failureThreshold": 60,
}
_GROUP: Final = 0
_USER: Final = "an image with a model"


@dataclass(frozen=True, slots=True)
class Car:
    """An image that is to run, and the volume that it links its model into."""

    image: Image
    volume: Volume


@dataclass(frozen=True, slots=True)
class _Identity:
    user: int
    group: int


def make(wanted: Wanted, images: Sequence[Image], others: Sequence[Volume]) -> list[Car]:
    """Make those that run; each links into one of the `others`, or one of their own.

    Raises:
        StalledError: the model's folder is at the root, where no volume can be mounted.
    """
    shared = {volume.path: volume for volume in others}
    made = []
    for image in images:
        if image.mode is Mode.MODELCAR:
            path = image.model.folder.rpartition("/")[0]
            if not path:
                raise StalledError(
                    Reason.INVALID_SPEC,
                    f"{image.model.field}: a model that its image links needs a folder that is"
                    f" not at the root; write a mountPath such as {names.MODEL_DIR}",
                )
            is_one = bool(wanted.service.predictor.storage_uri)
            name = names.PROVISION_VOLUME if is_one else names.model_volume(path)
            link = shared.setdefault(path, Volume(name, path, {"emptyDir": {}}, is_links=True))
            made.append(Car(image, link))
    return made


def inject(wanted: Wanted, pod: Mapping[str, Any], cars: Sequence[Car]) -> dict[str, Any]:
    """Add the sidecars, and let the containers with their volumes look into them.

    Raises:
        StalledError: the pod keeps its containers' processes apart, a container beside the
            server has another user, or one has the name of a sidecar.
    """
    if not cars:
        return dict(pod)
    taken = names.MODELCAR_CONTAINERS[: len(cars)]
    for field in ("initContainers", "containers"):
        additions.refuse_names(pod, field, taken, _USER)
    identity = _identity(wanted, pod)
    config = wanted.config.storage_initializer
    boxes = [
        _container(name, car, config, identity) for name, car in zip(taken, cars, strict=True)
    ]
    return {
        **pod,
        **_processes(pod),
        "containers": _readers(pod, cars, identity),
        "initContainers": [*(pod.get("initContainers") or []), *boxes],
    }


def _processes(pod: Mapping[str, Any]) -> dict[str, bool]:
    if pod.get("hostPID"):
        return {}  # they see each other already, and both is refused
    if pod.get("shareProcessNamespace") is False:
        raise StalledError(
            Reason.INVALID_SPEC,
            "spec.predictor.shareProcessNamespace: false keeps the server from its model, which"
            f" is read by way of a process of container {names.MODELCAR_CONTAINERS[0]}; remove it",
        )
    return {"shareProcessNamespace": True}


def _identity(wanted: Wanted, pod: Mapping[str, Any]) -> _Identity:
    """Tell whose processes the server's are."""
    server = pod["containers"][servers.server_index(pod["containers"])]
    said = [each.get("securityContext") or {} for each in (pod, server)]
    usual = {"runAsUser": wanted.config.storage_initializer.uid_modelcar, "runAsGroup": _GROUP}
    for context in said:
        usual |= {key: context[key] for key in usual if context.get(key) is not None}
    return _Identity(usual["runAsUser"], usual["runAsGroup"])


def _readers(
    pod: Mapping[str, Any], cars: Sequence[Car], identity: _Identity
) -> list[dict[str, Any]]:
    """Give the containers that have the models the user that may read them."""
    shared = {car.volume.name for car in cars}
    made = []
    for index, box in enumerate(pod["containers"]):
        context = box.get("securityContext") or {}
        if shared.isdisjoint(row["name"] for row in box.get("volumeMounts") or []):
            made.append(box)
            continue
        if context.get("runAsUser", identity.user) != identity.user:
            raise StalledError(
                Reason.INVALID_SPEC,
                f"spec.predictor.containers[{index}].securityContext.runAsUser: must be"
                f" {identity.user}, the server's, to read a model in an image",
            )
        made.append({**box, "securityContext": context | _as(identity)})
    return made


def _container(
    name: str, car: Car, config: StorageInitializerConfig, identity: _Identity
) -> dict[str, Any]:
    amounts = SidecarConfig(
        image=car.image.reference,
        cpu_request=config.cpu_modelcar,
        cpu_limit=max(config.cpu_modelcar, _LEAST_CPU_LIMIT, key=quantities.parse),
        memory_request=config.memory_modelcar,
        memory_limit=config.memory_modelcar,
    )
    made = additions.container(name, amounts)
    del made["imagePullPolicy"]  # Kubernetes' own rule: always for the tag `latest`
    folder = names.IMAGE_MODEL_DIR
    link = f"{names.LINKS_DIR}/{car.image.model.folder.rpartition('/')[2]}"
    arguments = (folder, link, car.image.reference, str(identity.user))
    return {
        **made,
        "command": _shell(SCRIPT, *arguments),
        "restartPolicy": "Always",
        "securityContext": {
            **made["securityContext"],
            **_as(identity),
            "runAsNonRoot": identity.user != 0,
        },
        "startupProbe": {"exec": {"command": _shell(_IS_LINKED, link)}, **_QUESTIONS},
        "volumeMounts": [{"name": car.volume.name, "mountPath": names.LINKS_DIR}],
    }


def _as(identity: _Identity) -> dict[str, int]:
    return {"runAsUser": identity.user, "runAsGroup": identity.group}


def _shell(script: str, *arguments: str) -> list[str]:
    """Write a command; in one, Kubernetes takes `$(X)` for a variable and `$$` for one `$`."""
    words = ("sh", "-c", script, names.MODELCAR_CONTAINERS[0], *arguments)
    return [word.replace("$", "$$") for word in words]
