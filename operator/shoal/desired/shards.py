"""How a list of models is spread over ConfigMaps (docs/adr/0008). Pure; called by `children`.

A model's place follows from its name and the number of shards alone. So shards that say the
same number belong together, whenever each was written, and one more shard moves just the
models that it takes.
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from typing import Final

from shoal import modelconfig
from shoal.modelconfig import Model

FULL: Final = 256 * 1024
"""Bytes of models in a shard: with all that is around them, half of what an object may have."""

_ROOMY: Final = FULL * 3 // 4  # fewer shards only where they stay this far from full


def spread(models: Iterable[Model], live: int = 1) -> list[dict[str, str]]:
    """Make the data of each shard; `live` is how many shards there are now."""
    rows = {model.name: modelconfig.row(model) for model in models}
    count = choose({name: modelconfig.size(row) for name, row in rows.items()}, live)
    shards: list[list[str]] = [[] for _ in range(count)]
    for name in sorted(rows):
        shards[place(name, count)].append(rows[name])
    return [modelconfig.join(shard, count) for shard in shards]


def choose(sizes: Mapping[str, int], live: int) -> int:
    """Choose how many shards models of these sizes are spread over.

    As many as there are, while none is overfull and not clearly fewer would do: a list whose
    length goes up and down around a border stays as it is.
    """
    total = sum(sizes.values())
    if _fullest(sizes, live) <= FULL:
        fewer = range(max(1, total // _ROOMY), live)
        return next((count for count in fewer if _fullest(sizes, count) <= _ROOMY), live)
    more = itertools.count(max(live + 1, total // FULL))
    return next(count for count in more if _fullest(sizes, count) <= FULL)


def place(name: str, count: int) -> int:
    """Tell which of `count` shards a model is in.

    A jump consistent hash (Lamping and Veach, arXiv:1406.2294): of n + 1 shards, the last
    one has what moved from the other n, and nothing else moves.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    shard = following = 0
    while following < count:
        shard = following
        key = (key * 2862933555777941757 + 1) % 2**64
        following = int((shard + 1) * (2**31 / ((key >> 33) + 1)))
    return shard


def _fullest(sizes: Mapping[str, int], count: int) -> int:
    loads = [0] * count
    for name, size in sizes.items():
        loads[place(name, count)] += size
    return max(loads)
