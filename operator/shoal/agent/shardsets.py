"""The shards of the list of models, as far as they are read: the whole list, or what is lacking.

```
 shard 0 says n ── 0 … n-1 are read, and each says n ──► whole
                └─ one is not read, or says otherwise ─► nothing to act on
```

Which shard a model is in follows from n and its name. So shards that say the same n make a
whole list, be some of them older than others; while n changes there is none. Pure; one is held
by `watches` for the API, and one is made of the mounted files.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from shoal.modelconfig import Model, Shard


@dataclass(frozen=True, slots=True)
class WholeList:
    """All models, and the sha256 of what they were read from, in order."""

    models: tuple[Model, ...]
    shards: int
    digest: str


class ShardSet:
    """What was read of each shard; `name` makes the name that messages use."""

    def __init__(self, name: Callable[[int], str]) -> None:
        self._name = name
        self._shards: dict[int, Shard] = {}

    @property
    def count(self) -> int:
        """How many shards there may be: a new one is announced by all but the first before it."""
        return max((shard.count for shard in self._shards.values()), default=1)

    def put(self, index: int, shard: Shard) -> None:
        """Note what a shard says."""
        self._shards[index] = shard

    def drop(self, index: int) -> None:
        """Note that a shard is not there, or that it cannot be read."""
        self._shards.pop(index, None)

    def whole(self) -> WholeList | None:
        """Make the list, if it is proven to be whole."""
        if self.lack():
            return None
        shards = [self._shards[index] for index in range(self._shards[0].count)]
        digests = [shard.digest for shard in shards]
        one = hashlib.sha256("".join(digests).encode()).hexdigest() if digests[1:] else digests[0]
        return WholeList(
            tuple(model for shard in shards for model in shard.models), len(shards), one
        )

    def lack(self) -> str:
        """Say what keeps the list from being whole; "" is nothing."""
        first = self._shards.get(0)
        if first is None:
            return f"{self._name(0)} is not read"
        for index in range(1, first.count):
            shard = self._shards.get(index)
            if shard is None:
                return f"{self._name(index)}, one of {first.count}, is not read"
            if shard.count != first.count:
                return (
                    f"{self._name(0)} says that there are {first.count} of it,"
                    f" {self._name(index)} says {shard.count}"
                )
        return ""
