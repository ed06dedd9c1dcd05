"""Which models fit into the memory of their server; asked by `reconcile`.

Memory is arithmetic: the sum of the admitted models' `memory` stays within the effective
limit of the server's container (contract §5.4, with the defaults that upstream forgets).
"""

from collections.abc import Collection, Sequence
from decimal import Decimal

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


def admit(
    models: Sequence[TrainedModel], limit: Decimal | None, admitted: Collection[str]
) -> frozenset[str]:
    """Choose the names of the models that are served.

    Those in `admitted` come first, so that a model once admitted stays while it fits; within
    both groups the oldest comes first, by creation and then by name. A model that does not
    fit does not keep a smaller, younger one out.
    """
    if limit is None:
        return frozenset(model.metadata.name for model in models)
    left = limit
    chosen = set()
    for model in sorted(models, key=lambda model: _order(model, admitted)):
        memory = quantities.parse(model.memory)
        if memory <= left:
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
