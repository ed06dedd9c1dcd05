"""Where pods share what one of them fetched (annotation `serving.kserve.io/model-cache`): a claim.

```
 init container   fetches into it what is not there, and makes links in /mnt/models
 server           follows these links: the claim is mounted at the same folder, read-only
```

`agent.caches` says what lies there. Caller: initcontainers.
"""

from collections.abc import Sequence
from typing import Any, Final

from shoal import names
from shoal.desired import metadata, modelvolumes
from shoal.desired.modelvolumes import Volume
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason

_READ_ONLY: Final = names.STORAGE_READ_ONLY_ANNOTATION


def make(wanted: Wanted) -> list[Volume]:
    """Make the volume, if one is asked for.

    Raises:
        StalledError: the server is to write to its model, which others use.
    """
    uri = _uri(wanted)
    if not uri:
        return []
    if metadata.component_annotations(wanted).get(_READ_ONLY) == "false":
        raise StalledError(
            Reason.INVALID_SPEC,
            f"metadata.annotations[{_READ_ONLY}]: pods of a model cache only read their models; "
            f"remove it, or {names.MODEL_CACHE_ANNOTATION}",
        )
    return [modelvolumes.of_claim(names.MODEL_CACHE_VOLUME, names.MODEL_CACHE_DIR, uri)]


def env(wanted: Wanted) -> dict[str, str]:
    """Tell the init container of it."""
    uri = _uri(wanted)
    folder = names.MODEL_CACHE_DIR if uri else ""
    return {"SHOAL_MODEL_CACHE": folder, "SHOAL_MODEL_CACHE_NAME": uri}


def mounts(volumes: Sequence[Volume]) -> list[dict[str, Any]]:
    """Mount it into the init container, to be written to."""
    return [
        {"name": volume.name, "mountPath": volume.path} | volume.more
        for volume in volumes
        if volume.name == names.MODEL_CACHE_VOLUME
    ]


def _uri(wanted: Wanted) -> str:
    return wanted.service.annotation(names.MODEL_CACHE_ANNOTATION)
