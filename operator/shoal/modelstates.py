"""What an agent says of its models: from each agent to the operator.

The agent answers `encode(report)` on its admin port; the operator reads it with `decode`. Whoever
names the cursor of a report that it holds gets what changed since, and puts the two together with
`merge`; an agent that does not know the cursor answers with a whole report, so that a missed one
costs nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")


class State(StrEnum):
    """How far a model is on one replica."""

    PENDING = "Pending"
    DOWNLOADING = "Downloading"
    LOADING = "Loading"
    LOADED = "Loaded"
    FAILED = "Failed"
    UNLOADING = "Unloading"


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model on one replica.

    `wanted` and `loaded` are digests of a `modelconfig.Model`; `loaded` is "" when the server
    answers with none. FAILED with a `loaded` means that the version before still answers.
    Times are RFC 3339; `next_try` is "" when none is planned.
    """

    state: State
    wanted: str
    loaded: str
    reason: str
    message: str
    attempt: int
    since: str
    next_try: str


@dataclass(frozen=True, slots=True)
class Report:
    """The models of one replica: all, or those that changed since the report `after`.

    `cursor` changes with every change of what follows; `settled` tells that the first set is
    loaded or failed for good; `config` is the sha256, in hex, of the list worked on.
    `after` is "" in a whole report; in another, `gone` names the models that are no more.
    """

    cursor: str
    settled: bool
    config: str
    models: Mapping[str, ModelState]
    after: str = ""
    gone: tuple[str, ...] = ()


# Key on the wire and field, once: a report of a thousand models is encoded often.
_WIRE = tuple(
    ("nextTry" if field.name == "next_try" else field.name, field.name)
    for field in fields(ModelState)
)


def encode(report: Report) -> str:
    """Make the JSON of a report."""
    partial = {"after": report.after, "gone": report.gone} if report.after else {}
    return json.dumps(
        partial
        | {
            "cursor": report.cursor,
            "settled": report.settled,
            "config": report.config,
            "models": {
                name: {key: getattr(state, field) for key, field in _WIRE}
                for name, state in sorted(report.models.items())
            },
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )


def decode(text: str) -> Report:
    """Read the JSON of a report.

    Raises:
        ValueError: it is no report. Unknown keys are accepted, so that an agent may be newer.
    """
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("report: must be an object")  # noqa: TRY004 - wrong content, not a bug
    models = _typed(body, "models", dict, "report")
    return Report(
        cursor=_typed(body, "cursor", str, "report"),
        settled=_typed(body, "settled", bool, "report"),
        config=_typed(body, "config", str, "report"),
        models={name: _state(f"models.{name}", row) for name, row in models.items()},
        after=_typed(body, "after", str, "report") if "after" in body else "",
        gone=tuple(_typed(body, "gone", list, "report")) if "gone" in body else (),
    )


def merge(held: Report | None, answer: Report) -> Report:
    """Make the whole report of an answer and the report that it continues.

    Raises:
        ValueError: it continues another one.
    """
    if not answer.after:
        return answer
    if held is None or held.cursor != answer.after:
        raise ValueError("report: continues one that is not held")
    left = {name: state for name, state in held.models.items() if name not in answer.gone}
    return replace(answer, models=left | dict(answer.models), after="", gone=())


def _state(where: str, row: object) -> ModelState:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: must be an object")  # noqa: TRY004 - wrong content
    return ModelState(
        state=State(_typed(row, "state", str, where)),
        wanted=_typed(row, "wanted", str, where),
        loaded=_typed(row, "loaded", str, where),
        reason=_typed(row, "reason", str, where),
        message=_typed(row, "message", str, where),
        attempt=_typed(row, "attempt", int, where),
        since=_typed(row, "since", str, where),
        next_try=_typed(row, "nextTry", str, where),
    )


def _typed(body: Mapping[str, Any], key: str, kind: type[T], where: str) -> T:
    value = body.get(key)
    if not isinstance(value, kind):
        raise ValueError(f"{where}.{key}: must be {kind.__name__}")  # noqa: TRY004 - content
    return value
