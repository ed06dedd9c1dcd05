"""The one model of a service's own, in `/mnt/models` before its server starts (contract §4.2).

```
 pvc://CLAIM/PATH   the claim's folder, mounted; nothing is copied
 any other          storage-initializer: `shoal fetch URI /mnt/models`, into an emptyDir
```

Upstream has a webhook change the pods; here it is in the Deployment. Called by `deployments`
and, for the Role, by `children`.
"""

from collections.abc import Mapping
from typing import Any, Final

from shoal import names
from shoal.desired import additions, credentials
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import servers

_CLAIM: Final = "pvc://"
_USER: Final = "the model that storageUri names"
_VOLUMES: Final = frozenset({names.PROVISION_VOLUME, names.CLAIM_VOLUME, names.AGENT_TOKEN_VOLUME})


def uri(wanted: Wanted) -> str:
    """Read the address of the service's own model, "" where it has none."""
    return wanted.service.predictor.storage_uri


def is_wanted(wanted: Wanted) -> bool:
    """Tell whether there is a model to fetch, and no init container of the user's for it."""
    given = uri(wanted)
    return bool(given) and not given.startswith(_CLAIM) and not _is_own(wanted.server.pod)


def inject(wanted: Wanted, pod: Mapping[str, Any]) -> dict[str, Any]:
    """Add the model to a pod's spec, unless the user's own `storage-initializer` does.

    Raises:
        StalledError: the address names no claim, or the user has a volume or mount there.
    """
    if _is_own(pod):
        return dict(pod)
    additions.refuse_names(pod, "volumes", _VOLUMES, _USER)
    if uri(wanted).startswith(_CLAIM):
        return _with_claim(wanted, pod)
    volume = {"name": names.PROVISION_VOLUME, "emptyDir": {}}
    return {
        **additions.without_token(pod),
        "initContainers": [*(pod.get("initContainers") or []), make(wanted)],
        "containers": _mounted(wanted, pod, names.PROVISION_VOLUME, {}),
        "volumes": [*(pod.get("volumes") or []), volume, additions.token_volume()],
    }


def make(wanted: Wanted) -> dict[str, Any]:
    """Make the init container."""
    predictor = wanted.service.predictor
    values = {
        "SHOAL_NAMESPACE": wanted.namespace,
        "SHOAL_SERVICE_ACCOUNT": predictor.service_account_name,
        **_whose(wanted),
        **additions.fetch_limits(wanted.config.agent),
    }
    config = wanted.config.storage_initializer
    return {
        **additions.container(names.STORAGE_INITIALIZER_CONTAINER, config),
        # Not the one for upstream's own program, whose arguments are others.
        "image": wanted.config.agent.image,
        "args": ["fetch", predictor.storage_uri, names.MODEL_DIR],
        "env": additions.env(values),
        "volumeMounts": [
            {"name": names.PROVISION_VOLUME, "mountPath": names.MODEL_DIR},
            additions.token_mount(),
        ],
    }


def _whose(wanted: Wanted) -> dict[str, str]:
    """Say where the credentials are; nothing of them is in the pod's spec (docs/adr/0006)."""
    if spec := credentials.spec(wanted):
        return {"SHOAL_STORAGE_SPEC": spec.encode()}
    return {"SHOAL_STORAGE_SECRET": credentials.secret(wanted)}


def _is_own(pod: Mapping[str, Any]) -> bool:
    boxes = pod.get("initContainers") or []
    return any(box.get("name") == names.STORAGE_INITIALIZER_CONTAINER for box in boxes)


def _with_claim(wanted: Wanted, pod: Mapping[str, Any]) -> dict[str, Any]:
    claim, _, path = uri(wanted).removeprefix(_CLAIM).partition("/")
    path = path.strip("/")
    if not claim or ".." in path.split("/"):
        raise StalledError(
            Reason.INVALID_SPEC,
            f"{_field(wanted)}: {uri(wanted)!r} is not of the form pvc://CLAIM/PATH",
        )
    volume = {"name": names.CLAIM_VOLUME, "persistentVolumeClaim": {"claimName": claim}}
    return {
        **pod,
        "containers": _mounted(wanted, pod, names.CLAIM_VOLUME, {"subPath": path} if path else {}),
        "volumes": [*(pod.get("volumes") or []), volume],
    }


def _field(wanted: Wanted) -> str:
    for key in wanted.service.predictor.framework_specs():
        return f"spec.predictor.{key}.storageUri"
    return f"spec.predictor.containers[0].env[{names.STORAGE_URI_VARIABLE}]"


def _mounted(
    wanted: Wanted, pod: Mapping[str, Any], volume: str, more: dict[str, str]
) -> list[dict[str, Any]]:
    """Mount the model into the server, and into a transformer that stands beside it."""
    server = servers.server_index(pod["containers"])
    mount = additions.server_mount(wanted, volume, names.MODEL_DIR) | more
    made = []
    for index, box in enumerate(pod["containers"]):
        if index == server or box["name"] == names.TRANSFORMER_CONTAINER:
            additions.refuse_mounts(box, f"containers[{index}]", {names.MODEL_DIR}, _USER)
            mounts = [*(box.get("volumeMounts") or []), mount]
            made.append({**box, "env": _env(box), "volumeMounts": mounts})
        else:
            made.append(box)
    return made


def _env(box: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tell the server where the model is, where it reads STORAGE_URI."""
    return [
        row | {"value": names.MODEL_DIR}
        if row["name"] == names.STORAGE_URI_VARIABLE and row.get("value")
        else row
        for row in box.get("env") or []
    ]
