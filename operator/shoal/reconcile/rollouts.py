"""Whether a service's pods are as they would be made now, and if not, why not.

```
 the template changed ──► by the user ─────────────────────────────► at once
                      └─► by runtime, config or release: automatic ─► one of so many at a time;
                                                                     never where it is disabled
```

Which updates are under way is read from the Deployments. Called by `plans` and `services`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shoal import names
from shoal.api.settings import ServingConfig
from shoal.api.storagecontainers import StorageContainer
from shoal.cluster import kinds
from shoal.cluster.ports import Body
from shoal.cluster.store import Key, Store
from shoal.desired import deployments, records
from shoal.desired.wanted import Wanted
from shoal.errors import ReconcileError, StalledError, WaitingError
from shoal.reasons import Reason
from shoal.runtimes import pins
from shoal.runtimes.pins import Pin

_LOOK_SECONDS: Final = 30.0  # the end of another's update wakes the next in line before that
_CHANGED: Final = "The runtime, the storage container or the configuration"


def source(
    pin: Pin | None,
    runtimes: Iterable[Body],
    config: ServingConfig,
    container: StorageContainer | None = None,
) -> str:
    """Identify what pods are made of beside the spec: runtime, config and storage container."""
    runtime = [body["spec"] for body in runtimes if _is_pinned(body, pin)]
    agent = config.with_own_image("").agent.model_dump(exclude_defaults=True)
    # Of this one the image has no effect, and is another with each release.
    initializer = config.storage_initializer.model_dump(exclude_defaults=True, exclude={"image"})
    server = config.inference_service.model_dump(exclude_defaults=True)
    container_too = [container.spec.container] if container else []
    text = json.dumps([runtime, agent, initializer, server, *container_too], sort_keys=True)
    return pins.identify(text)


def _is_pinned(runtime: Body, pin: Pin | None) -> bool:
    place = (runtime["kind"], runtime["metadata"]["name"])
    return pin is not None and (pin.kind, pin.name) == place


def held_back(wanted: Wanted, *, may_roll: bool) -> ReconcileError | None:
    """Say why the pods are not made anew, though they would be otherwise by now.

    Pods that are not all there yet are not held back: the update may be what helps them.

    Raises:
        StalledError: the containers are unfit.
    """
    if wanted.server.kept or not begins(wanted.deployment, deployments.make_record(wanted)):
        return None
    given = wanted.service.annotation(names.DISABLE_UPDATE_ANNOTATION)
    if given.lower() == "true":
        return StalledError(
            Reason.OUTDATED,
            f"{_CHANGED} changed, and the pods go on as they are because of the annotation"
            f" {names.DISABLE_UPDATE_ANNOTATION}; they follow when it is removed,"
            " or when spec.predictor changes.",
        )
    if not may_roll:
        return WaitingError(
            Reason.ROLLOUT_PENDING,
            f"{_CHANGED} changed, and the pods follow when fewer other"
            " services are being updated (deploy.maxConcurrentRollouts in the configuration).",
            delay=_LOOK_SECONDS,
        )
    return None


def begins(deployment: Mapping[str, Any] | None, record: records.Record) -> bool:
    """Tell whether a record is of an automatic update that the Deployment does not have yet."""
    before = records.decode(deployment)
    is_new = before is not None and before.template != record.template
    return is_new and record.automatic and records.is_whole(deployment)


def begins_with(deployment: Mapping[str, Any] | None, made: Body) -> bool:
    """Tell whether a child that is to be applied begins an automatic update."""
    record = records.decode(made) if made["kind"] == kinds.DEPLOYMENT.kind else None
    return record is not None and begins(deployment, record)


def outdated(wanted: Wanted, made: Iterable[Body]) -> ReconcileError | None:
    """Say what the pods do not have yet; None where they have it all, or there are none."""
    for body in made:
        if body["kind"] == kinds.DEPLOYMENT.kind and (keys := deployments.behind(wanted, body)):
            return StalledError(
                Reason.OUTDATED,
                f"The pods were made before {', '.join(keys)} of the InferenceService's metadata"
                " changed, and follow when they are made anew for another reason; what they are"
                " to have at once belongs into spec.predictor.labels or annotations.",
            )
    return None


class Slots:
    """Counts the services that are being updated, those included that are about to be."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun: set[Key] = set()

    def take(self, key: Key, at_most: int) -> bool:
        """Let a service begin, unless so many others are at it; `give` when it is in the store."""
        others = (self._store.rolling() | self._begun) - {key}
        if len(others) >= at_most:
            return False
        self._begun.add(key)
        return True

    def give(self, key: Key) -> None:
        """Count a service by its Deployment again."""
        self._begun.discard(key)
