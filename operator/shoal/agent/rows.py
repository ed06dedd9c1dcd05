"""One model's row on the board: what its worker says of it. Callers: workers."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shoal.agent import boards
from shoal.agent.boards import Board
from shoal.agent.loaders import Loader
from shoal.modelconfig import Model
from shoal.modelstates import ModelState, State
from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind


class Row:
    """What is said of one model; `attempt` counts the tries that failed, `failure` is the last."""

    def __init__(self, name: str, board: Board, loader: Loader) -> None:
        self.attempt = 0
        self.failure: FetchError | None = None
        self._name = name
        self._board = board
        self._loader = loader

    @property
    def is_there(self) -> bool:
        """Whether anything is said of it."""
        return self._board.get(self._name) is not None

    def show(self, wanted: Model | None, state: State, reason: Reason, message: str = "") -> None:
        """Say how it is with what is wanted, and what the server answers with meanwhile."""
        self._set(self._state(wanted, state, reason, message))

    def show_failure(self, wanted: Model | None, failure: FetchError, seconds: float) -> None:
        """Say why a try failed, and that the next one comes after `seconds`."""
        next_try = boards.rfc3339(self._board.now() + timedelta(seconds=seconds))
        said = self._state(wanted, State.FAILED, failure.reason, failure.message)
        self._set(replace(said, next_try=next_try))

    def show_waiting(self, wanted: Model) -> None:
        """Say that it has not begun."""
        message = "waiting for its turn"
        if self._loader.coming:
            message = "waiting until the server is done with the version before"
        self.show(wanted, State.PENDING, Reason.PENDING, message)

    def lose(self, wanted: Model | None, message: str) -> None:
        """Say that the server does not answer with it any more."""
        state = self._board.get(self._name)
        if state and state.state is State.LOADED:
            self.show(wanted, State.PENDING, Reason.SERVER_UNAVAILABLE, message)
        else:
            self.correct(loaded="")

    def correct(self, **said: Any) -> None:  # noqa: ANN401 - fields of a ModelState
        """Say some things otherwise, where anything is said."""
        if state := self._board.get(self._name):
            self._set(replace(state, **said))

    def remove(self) -> None:
        """Say nothing any more."""
        self._board.remove(self._name)

    def _set(self, state: ModelState) -> None:
        is_lasting = self.attempt and self.failure and self.failure.kind is Kind.PERMANENT
        self._board.set(self._name, state, lasting=bool(is_lasting))

    def _state(
        self, wanted: Model | None, state: State, reason: Reason, message: str
    ) -> ModelState:
        return ModelState(
            state=state,
            wanted=wanted.digest if wanted else "",
            loaded=self._claim(wanted),
            reason=reason.value,
            message=message,
            attempt=self.attempt,
            since=boards.rfc3339(self._board.now()),
            next_try="",
        )

    def _claim(self, wanted: Model | None) -> str:
        """Tell what the server answers with, and not that it is what is wanted on its way out."""
        is_going = wanted is not None and self._loader.loaded == wanted.digest
        return self._loader.coming if is_going and self._loader.coming else self._loader.loaded
