"""All children of one InferenceService, in the order in which they are applied.

```
 Role, RoleBinding, ConfigMaps  first, so that a starting agent finds them, and the Role before
                                the ConfigMaps, whose models may name a new Secret; for a model
                                of the service's own no list of models, where it is fetched
 Service(s), Deployment, HPA    the predictor; a ScaledObject where KEDA scales it
 Ingress                        last
```
"""

from typing import Any

from shoal import names
from shoal.api.inferenceservices import InferenceService
from shoal.desired import (
    autoscalers,
    bundles,
    configmaps,
    deployments,
    ingresses,
    initcontainers,
    roles,
    scaledobjects,
    services,
    shards,
)
from shoal.desired.wanted import Wanted


def make(wanted: Wanted) -> list[dict[str, Any]]:
    """Make every child, whole; none while the service is stopped (contract §2.12).

    Of a stopped service the caller deletes the children but the ConfigMaps, so that it comes
    back with the models it had.

    Raises:
        StalledError: the spec or the config allows no child; its message names the field.
    """
    if is_stopped(wanted.service):
        return []
    made = _for_agents(wanted) if wanted.is_host else _for_initializers(wanted)
    made.append(services.make(wanted))
    if wanted.entry_service:
        made.append(services.make_entry(wanted))
    # Where the runtime is gone it cannot be made anew: it goes on as it is.
    kept = wanted.server.kept
    made.append(dict(kept) if kept else deployments.make(wanted))
    made += _scaler(wanted)
    if ingresses.is_wanted(wanted):
        made.append(ingresses.make(wanted))
    return made


def lacks_keda(wanted: Wanted) -> bool:
    """Tell whether KEDA is to scale the predictor, and is not there."""
    return autoscalers.class_of(wanted) == autoscalers.KEDA and not wanted.has_keda


def _scaler(wanted: Wanted) -> list[dict[str, Any]]:
    found = autoscalers.class_of(wanted)
    if found == autoscalers.HPA:
        return [autoscalers.make(wanted)]
    if found != autoscalers.KEDA:
        return []
    made = scaledobjects.make(wanted)
    return [made] if wanted.has_keda else []


def _for_agents(wanted: Wanted) -> list[dict[str, Any]]:
    spread = shards.spread(wanted.models, wanted.live_shards)
    return [
        roles.make(wanted, len(spread)),
        roles.make_binding(wanted),
        *bundles.make(wanted),
        *configmaps.make(wanted, spread),
    ]


def _for_initializers(wanted: Wanted) -> list[dict[str, Any]]:
    if not initcontainers.is_wanted(wanted):
        return []
    rights = [roles.make(wanted), roles.make_binding(wanted)]
    return [*(rights if initcontainers.asks_api(wanted) else []), *bundles.make(wanted)]


def is_stopped(service: InferenceService) -> bool:
    """Tell whether the user stopped the service; the case of the value does not matter."""
    return service.metadata.annotations.get(names.STOP_ANNOTATION, "").lower() == "true"
