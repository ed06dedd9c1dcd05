"""What a soak does, from its seed alone: the same seed makes the same actions. Pure.

The plan knows what it has asked for, never what the cluster has made of it. So which pod is
killed is a number, of which the hands take the remainder.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

SERVICES = ("soak-0", "soak-1", "soak-2")
ARTIFACTS = 8
BAD = -1
_FEWEST = 0.8  # of the models that it began with


class Deed(StrEnum):
    """One kind of action."""

    CHANGE = "change a model's address"
    SPOIL = "give a model an address with nothing behind it"
    REFRESH = "refresh a model"
    MOVE = "move a model to another service"
    DELETE = "delete a model"
    CREATE = "create a model"
    KILL_AGENT = "kill an agent"
    KILL_SERVER = "kill a model server"
    DELETE_POD = "delete a pod"
    LOSE_POD = "delete a pod by force"
    KILL_OPERATOR = "kill the leading operator"
    END_OPERATOR = "delete the leading operator's pod"


_WEIGHTS = {
    Deed.CHANGE: 30,
    Deed.SPOIL: 8,
    Deed.REFRESH: 10,
    Deed.MOVE: 8,
    Deed.DELETE: 9,
    Deed.CREATE: 9,
    Deed.KILL_AGENT: 3,
    Deed.KILL_SERVER: 3,
    Deed.DELETE_POD: 2,
    Deed.LOSE_POD: 1,
    Deed.KILL_OPERATOR: 1.2,
    Deed.END_OPERATOR: 0.8,
}


@dataclass(frozen=True)
class Wish:
    """What is asked of a model."""

    service: str
    artifact: int
    refresh: int = 0

    @property
    def is_good(self) -> bool:
        """Whether there is something behind its address."""
        return self.artifact != BAD


@dataclass(frozen=True)
class Action:
    """One action, `at` seconds after the start."""

    at: float
    deed: Deed
    model: str = ""
    wish: Wish | None = None
    pick: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything that a soak does, and the models that it asks for in the end."""

    seed: int
    first: Mapping[str, Wish]
    actions: tuple[Action, ...]
    last: Mapping[str, Wish]

    def count(self) -> Counter[Deed]:
        """Count the actions of each kind."""
        return Counter(action.deed for action in self.actions)


def make(seed: int, seconds: float, models: int, pause: float) -> Plan:
    """Draw a plan for so many models that lasts about so many seconds."""
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    first = {f"model-{at:03d}": _draw(dice) for at in range(models)}
    wishes, actions, at = dict(first), [], 0.0
    names = [*first, *(f"model-{at:03d}" for at in range(models, models + models // 10))]
    while (at := at + dice.expovariate(1 / pause)) < seconds:
        deed = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if deed is Deed.DELETE and len(wishes) < models * _FEWEST:
            deed = Deed.CREATE
        actions.append(_act(dice, at, deed, wishes, names))
    return Plan(seed, first, tuple(actions), wishes)


def _draw(dice: random.Random) -> Wish:
    return Wish(dice.choice(SERVICES), dice.randrange(ARTIFACTS))


def _act(
    dice: random.Random, at: float, deed: Deed, wishes: dict[str, Wish], names: list[str]
) -> Action:
    """Draw an action and let `wishes` be as they are after it."""
    free = sorted(set(names) - wishes.keys())
    if deed is Deed.CREATE and not free:
        deed = Deed.CHANGE
    pick = dice.randrange(1 << 16)
    name = dice.choice(free if deed is Deed.CREATE else sorted(wishes))
    old = wishes[name] if name in wishes else _draw(dice)
    if deed is Deed.DELETE:
        del wishes[name]
        return Action(at, deed, name)
    wish = {
        Deed.CHANGE: replace(old, artifact=dice.randrange(ARTIFACTS)),
        Deed.SPOIL: replace(old, artifact=BAD),
        Deed.REFRESH: replace(old, refresh=old.refresh + 1),
        Deed.MOVE: replace(old, service=dice.choice(SERVICES)),
        Deed.CREATE: old,
    }.get(deed)
    if wish is None:
        return Action(at, deed, pick=pick)
    wishes[name] = wish
    return Action(at, deed, name, wish)
