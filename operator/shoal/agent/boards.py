"""The state of each model, as readers of the admin port see it. Writers: workers, syncs."""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from shoal.modelstates import ModelState, Report, State

_GONE_KEPT = 1000  # models that went and are still remembered, beside as many as there are
Clock = Callable[[], datetime]


class Board:
    """Reports under a cursor that moves with every change."""

    def __init__(self, now: Clock, first_set_seconds: float) -> None:
        self.now = now
        self._budget = timedelta(seconds=first_set_seconds)
        # A restarted agent must not repeat the cursors of the one before.
        self._life = secrets.token_hex(4)
        self._changes = 0
        self._changed = asyncio.Event()
        self._config = ""
        self._models: dict[str, ModelState] = {}
        self._last: dict[str, int] = {}  # models, also gone ones, by their last change
        self._forgot = 0  # the last change of a model whose going is not remembered any more
        self._lasting: set[str] = set()  # failed in a way that time does not mend
        self._pending: dict[str, datetime] = {}  # what readiness waits for, and since when
        self._is_settled = False
        self.is_server_up = False

    @property
    def cursor(self) -> str:
        """Identify the present content."""
        return f"{self._life}-{self._changes}"

    @property
    def size(self) -> int:
        """How many models there are."""
        return len(self._models)

    def states(self) -> Iterable[ModelState]:
        """All states."""
        return self._models.values()

    def has_loaded(self) -> bool:
        """Tell whether the server answers with a version of any model."""
        return any(state.loaded for state in self._models.values())

    def set_config(self, config: str, wanted: Iterable[str]) -> None:
        """Note what is worked on; the first set is what readiness waits for."""
        if not self._config:
            self.await_models(wanted)
        self._config = config
        self._touch()

    def await_models(self, models: Iterable[str]) -> None:
        """Hold readiness back until these are loaded or have failed."""
        self._pending |= dict.fromkeys(models, self.now())
        self._touch()

    def set(self, model: str, state: ModelState, *, lasting: bool = False) -> None:
        """Put a model's state; `since` moves only when its state, wanted digest or reason does."""
        before = self._models.get(model)
        if before and _kind(before) == _kind(state):
            state = replace(state, since=before.since)
        (self._lasting.add if lasting else self._lasting.discard)(model)
        if state != before:
            self._models[model] = state
            self._touch(model)

    def remove(self, model: str) -> None:
        """Drop a model that is gone."""
        self._lasting.discard(model)
        if self._models.pop(model, None):
            self._touch(model)
            if len(self._last) > 2 * len(self._models) + _GONE_KEPT:
                self._last = {name: self._last[name] for name in self._models}
                self._forgot = self._changes

    def get(self, model: str) -> ModelState | None:
        """Read one state."""
        return self._models.get(model)

    def is_settled(self) -> bool:
        """Tell whether the first set has been dealt with; once it has, it stays so."""
        if not self._is_settled and self._config and not self._unsettled():
            self._is_settled = True
            self._touch()
        return self._is_settled

    def is_ready(self) -> bool:
        """Tell whether this replica may take traffic."""
        return self.is_settled() and self.is_server_up and not self._unsettled()

    def report(self, after: str = "") -> Report:
        """Make the report of what changed since the cursor `after`: whole if that is not known."""
        settled = self.is_settled()
        since = self._number(after)
        if since is None:
            return Report(self.cursor, settled, self._config, dict(self._models))
        changed = [name for name, number in self._last.items() if number > since]
        return Report(
            self.cursor,
            settled,
            self._config,
            {name: self._models[name] for name in changed if name in self._models},
            after,
            tuple(name for name in changed if name not in self._models),
        )

    async def wait(self, after: str, seconds: float) -> None:
        """Return when the cursor is not `after`, at the latest after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self.cursor == after:
                    await self._changed.wait()
        except TimeoutError:
            return

    def _number(self, cursor: str) -> int | None:
        """Read a cursor of this life that is recent enough to tell what changed since."""
        life, _, number = cursor.partition("-")
        if life != self._life or not number.isdecimal():
            return None
        return int(number) if self._forgot <= int(number) <= self._changes else None

    def _unsettled(self) -> bool:
        for model in [model for model, since in self._pending.items() if self._done(model, since)]:
            del self._pending[model]
        return bool(self._pending)

    def _done(self, model: str, since: datetime) -> bool:
        state = self._models.get(model)
        if state is None or state.loaded == state.wanted:
            return True
        if model in self._lasting:
            return True
        return state.attempt > 0 and self.now() - since >= self._budget

    def _touch(self, model: str = "") -> None:
        self._changes += 1
        if model:
            self._last[model] = self._changes
        self._changed.set()
        self._changed = asyncio.Event()


def rfc3339(time: datetime) -> str:
    """Write a time, in UTC, to the millisecond."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _kind(state: ModelState) -> tuple[State, str, str]:
    return state.state, state.wanted, state.reason
