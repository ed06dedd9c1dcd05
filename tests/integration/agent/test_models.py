"""What one replica does with its models; the list comes from the mounted file."""

from typing import Any

import pytest

from shoal.modelstates import State

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name


def test_models_are_loaded_and_answer(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    rig.start(one, two)
    report = rig.agent.loaded(one, two)
    assert {state.state for state in report.models.values()} == {State.LOADED}
    assert (rig.server.predict("one"), rig.server.predict("two")) == (1.0, 2.0)
    assert rig.agent.status("/readyz") == 200
    messages = [line["message"] for line in rig.agent.lines()]
    assert "downloading model from s3://models/one" in messages
    assert "loaded model one" in messages
