"""What to do about one model, from what is wanted and what is there. Pure.

```
 row                     wanted  record         link          server    step
 new                     yes     -              -             -         FETCH
 unchanged               yes     wanted, sure   its tree      ready     KEEP
 server down             yes     wanted         its tree      silent    WAIT
 lost by the server      yes     wanted         its tree      not ready LOAD
 in doubt                yes     wanted, unsure any           any       LOAD
 changed                 yes     another        any           any       FETCH
 reverted                yes     another, and the one before is wanted  FETCH (its bytes are held)
 empty                   yes     wanted         tree is gone  any       FETCH
 half-downloaded         yes     -              -             -         FETCH (swept at start)
 gone                    no      any            any           any       UNLOAD
 present but unknown     no      -              ours          any       UNLOAD
 nothing                 no      -              -             -         KEEP
```
"""

from dataclasses import dataclass
from enum import StrEnum

from shoal.modelconfig import Model


class Step(StrEnum):
    """The next thing to do about a model."""

    KEEP = "keep"
    WAIT = "wait"
    LOAD = "load"
    FETCH = "fetch"
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model: the digest of its spec, and the tree with its bytes."""

    digest: str
    tree: str


@dataclass(frozen=True, slots=True)
class Record:
    """What the agent noted of the server: `loaded` answers there, `previous` did before.

    `sure` is False from before a load is called until it is confirmed.
    """

    loaded: Version | None = None
    previous: Version | None = None
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """One model as found.

    `link` is the tree that the model's folder leads to ("" when there is none of ours);
    `trees` are those of the record and the link whose bytes are there; `ready` is the server's
    answer, None when it gave none.
    """

    link: str = ""
    record: Record | None = None
    trees: frozenset[str] = frozenset()
    ready: bool | None = None


def make(wanted: Model | None, held: Held) -> Step:
    """Decide the next step."""
    if wanted is None:
        return Step.UNLOAD if held.link or held.record else Step.KEEP
    loaded = held.record.loaded if held.record else None
    if loaded is None or loaded.digest != wanted.digest or loaded.tree not in held.trees:
        return Step.FETCH
    if held.ready is None:
        return Step.WAIT
    return Step.KEEP if serves(held) else Step.LOAD


def serves(held: Held) -> bool:
    """Tell whether the server answers with the record's `loaded` version for certain."""
    record = held.record
    return bool(
        held.ready
        and record
        and record.sure
        and record.loaded
        and record.loaded.tree == held.link
        and held.link in held.trees
    )


def fallback(wanted: Model, held: Held) -> str:
    """Find held bytes of the wanted version, for when its store cannot be asked: a tree or ""."""
    record = held.record or Record()
    for version in (record.loaded, record.previous):
        if version and version.digest == wanted.digest and version.tree in held.trees:
            return version.tree
    return ""
