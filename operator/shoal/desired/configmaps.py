"""The ConfigMaps that tell the agents which models to serve (contract §5.2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from shoal import modelconfig, names
from shoal.desired import metadata
from shoal.desired.wanted import Wanted


def make(wanted: Wanted, shards: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Make one for each shard, in the order of writing.

    A list that takes more of them is told of by the first one last, when the others are there.
    """
    made = [_make(wanted, index, data) for index, data in enumerate(shards)]
    return made if len(made) <= wanted.live_shards else made[::-1]


def _make(wanted: Wanted, index: int, data: Mapping[str, str]) -> dict[str, Any]:
    """Make one; its labels are upstream's, with the one by which the operator watches it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.make(
            wanted,
            names.model_config(wanted.name, index),
            labels=metadata.object_labels(wanted),
            annotations={names.MODELS_DIGEST_ANNOTATION: modelconfig.digest(data)},
        ),
        "data": dict(data),
    }
