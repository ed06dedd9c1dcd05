"""Which models fit into the memory of their server; asked by `reconcile`.

Memory is arithmetic: the sum of the admitted models' `memory` stays within the effective
limit of the server's container (contract §5.4, with the defaults that upstream forgets).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from shoal import names
from shoal.api import quantities
from shoal.api.settings import ServingConfig
from shoal.api.trainedmodels import TrainedModel
from shoal.desired import containers
from shoal.runtimes.servers import Server


def limit(server: Server, config: ServingConfig) -> Decimal | None:
    """Compute the bytes that all models together may take; None is no bound.

    There is no bound where neither user, runtime nor config sets a limit; 0 is none, as for
    the kubelet.

    Raises:
        StalledError: the limit is no quantity.
    """
    memory = containers.server_resources(server, config)["limits"].get("memory", "0")
    return quantities.parse(memory) or None


def room(limit: Decimal | None, pods: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """Find the smallest limit below `limit` that a pod still runs with; None if there is none.

    It was raised, and the pods are being replaced: a model more would end their servers.
    """
    found = []
    for pod in pods:
        if pod.get("status", {}).get("phase") != "Running":
            continue  # nothing is loaded there
        for container in pod["spec"]["containers"]:
            resources = container.get("resources") or {}
            if container["name"] == names.PREDICTOR_CONTAINER:
                found.append(quantities.parse((resources.get("limits") or {}).get("memory", "0")))
    return min((one for one in found if limit is not None and 0 < one < limit), default=None)


def admit(
    models: Sequence[TrainedModel],
    limit: Decimal | None,
    admitted: Collection[str],
    room: Decimal | None = None,
) -> frozenset[str]:
    """Choose the names of the models that are served.

    Those in `admitted` come first, so that a model once admitted stays while it fits; within
    both groups the oldest comes first, by creation and then by name. A model that does not
    fit does not keep a smaller, younger one out. No model comes in above `room`.
    """
    if limit is None:
        return frozenset(model.metadata.name for model in models)
    left = limit
    missing = Decimal(0) if room is None else limit - room  # from some pods, as yet
    chosen = set()
    for model in sorted(models, key=lambda model: _order(model, admitted)):
        memory = quantities.parse(model.memory)
        is_in = model.metadata.name in admitted
        if memory <= (left if is_in else left - missing):
            left -= memory
            chosen.add(model.metadata.name)
    return frozenset(chosen)


def used(models: Sequence[TrainedModel], chosen: Collection[str]) -> Decimal:
    """Add up the bytes of the chosen models."""
    rows = (quantities.parse(model.memory) for model in models if model.metadata.name in chosen)
    return sum(rows, Decimal(0))


def _order(model: TrainedModel, admitted: Collection[str]) -> tuple[bool, float, str]:
    metadata = model.metadata
    return (metadata.name not in admitted, metadata.created.timestamp(), metadata.name)
