"""The ConfigMap that tells the agents which models to serve (contract §5.2)."""

from typing import Any

from shoal import modelconfig, names
from shoal.desired import metadata
from shoal.desired.wanted import Wanted


def make(wanted: Wanted) -> dict[str, Any]:
    """Make it from all admitted models.

    Its labels are upstream's plus the one by which the operator watches it.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.make(
            wanted,
            names.model_config(wanted.name),
            labels=metadata.object_labels(wanted),
            annotations={},
        ),
        "data": modelconfig.encode(wanted.models),
    }
