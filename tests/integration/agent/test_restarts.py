"""An agent that begins again, and finds a server or a disk in the middle of something."""

import io
import operator
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib

from shoal.modelstates import State
from support.agentrigs import artefact, until
from support.artefacts import Hang

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name


def test_an_agent_is_alive_while_it_checks_its_store_after_a_reboot(rig: RigFixture) -> None:
    """A large store takes longer to read than a kubelet waits for an answer."""
    one = rig.upload("one", 1.0)
    rig.start(one)
    rig.agent.loaded(one)
    rig.agent.process.end()
    store = rig.agent.folder / "store"
    (store / "boot").write_text("another")
    (tree,) = (store / "trees").iterdir()
    slow = tree / "slow"
    os.mkfifo(slow)  # whoever reads it waits for a writer

    rig.agent.start()
    assert rig.agent.status("/livez") == 200
    assert rig.agent.status("/readyz") == 503
    assert rig.agent.report().models == {}
    threading.Thread(target=Path.write_text, args=(slow, "damage"), daemon=True).start()
    rig.agent.loaded(one)
    until(lambda: rig.agent.status("/readyz") == 200)
    assert any("damaged by a reboot" in line["message"] for line in rig.agent.lines())


class Slow:
    """Its joblib file sleeps before it is what another file is."""

    def __init__(self, seconds: float, artefact: bytes) -> None:
        self.parts = (Hang(seconds), joblib.load(io.BytesIO(artefact)))

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.getitem, (self.parts, 1)


def test_a_load_that_ended_after_its_agent_is_not_taken_for_the_version_before(
    rig: RigFixture,
) -> None:
    """Killed while the server loads the second; a third is refused; then back to the first."""
    slow = io.BytesIO()
    joblib.dump(Slow(3, artefact(2.0)), slow)
    first = rig.upload("m", 1.0)
    second = replace(rig.upload("slow", slow.getvalue()), name="m")
    third = replace(rig.upload("bad", b"no joblib at all"), name="m")
    rig.start(first)
    rig.agent.loaded(first)

    rig.agent.want_by_file(second)
    rig.agent.state("m", lambda seen: seen.state is State.LOADING)
    rig.agent.process.end()
    until(lambda: rig.server.predict("m") == 2.0)

    rig.agent.want_by_file(third)
    rig.agent.start()
    rig.agent.state("m", lambda seen: seen.state is State.FAILED and seen.wanted == third.digest)
    rig.agent.want_by_file(first)
    rig.agent.loaded(first)
    assert rig.server.predict("m") == 1.0
