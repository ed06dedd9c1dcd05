"""What one replica of a predictor says of its models."""

from dataclasses import dataclass

from shoal.modelstates import ModelState, Report, State


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod of the predictor that is not going away.

    `report` is its agent's last word; `reachable` is False where an agent should answer and
    does not: what it said before is then worth nothing. A reachable replica without a report
    has no agent: it is from before its predictor became a host.
    """

    pod: str
    ready: bool
    report: Report | None = None
    reachable: bool = True

    @property
    def has_agent(self) -> bool:
        """Whether an agent is there to be asked."""
        return self.report is not None or not self.reachable

    def state_of(self, model: str) -> ModelState | None:
        """Give the state of a model; None where it is unknown or not wanted there yet."""
        if self.report is None or not self.reachable:
            return None
        return self.report.models.get(model)

    def has_loaded(self, model: str, digest: str | None) -> bool:
        """Tell whether the server answers with exactly this model; None is none that there is."""
        state = self.state_of(model)
        return state is not None and state.loaded == digest

    def answers(self, model: str) -> bool:
        """Tell whether the server answers with some version of the model."""
        state = self.state_of(model)
        return state is not None and bool(state.loaded)

    def failure_of(self, model: str, digest: str | None) -> ModelState | None:
        """Give the state in which exactly this model failed; what answers is no failure."""
        state = self.state_of(model)
        if state is None or state.state != State.FAILED or state.wanted != digest:
            return None
        return None if state.loaded == digest else state
