"""What one replica of a predictor says of its models."""

from dataclasses import dataclass

from shoal.modelstates import ModelState, Report, State


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod of the predictor that is not going away.

    `report` is its agent's last word; None before the first. `reachable` tells whether the
    agent answers now: the word of one that does not is worth nothing. `has_agent` is False
    for a pod from before its predictor became a host.
    """

    pod: str
    ready: bool
    report: Report | None = None
    reachable: bool = True
    has_agent: bool = True

    @property
    def is_known(self) -> bool:
        """Whether its models' states are known now."""
        return self.reachable and self.report is not None

    def state_of(self, model: str) -> ModelState | None:
        """Give the state of a model; None where it is unknown or not wanted there yet."""
        if self.report is None or not self.reachable:
            return None
        return self.report.models.get(model)

    def has_loaded(self, model: str, digest: str) -> bool:
        """Tell whether the server answers with exactly this model."""
        state = self.state_of(model)
        return state is not None and state.loaded == digest

    def failure_of(self, model: str, digest: str) -> ModelState | None:
        """Give the state in which exactly this model failed; what answers is no failure."""
        state = self.state_of(model)
        if state is None or state.state != State.FAILED or state.wanted != digest:
            return None
        return None if state.loaded == digest else state
