"""Models whose load hangs, beside others."""

import io
import signal
import time
from dataclasses import replace
from typing import Any

import joblib

from shoal.modelstates import State
from support.artefacts import Hang

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name


def hanging(seconds: float) -> bytes:
    sink = io.BytesIO()
    joblib.dump(Hang(seconds), sink)
    return sink.getvalue()


def test_models_that_hang_hold_up_no_others(make_rig: Any) -> None:
    rig = make_rig(
        SHOAL_LOAD_CONCURRENCY="2", SHOAL_LOAD_SECONDS="25", SHOAL_LOAD_PATIENCE_SECONDS="1"
    )
    bad = [rig.upload(f"bad{number}", hanging(60)) for number in range(4)]
    old = rig.upload("old", 1.0)
    rig.start(old, *bad)
    rig.agent.state("old", lambda seen: seen.loaded == old.digest)
    rig.agent.see(
        lambda seen: sum(each.state is State.LOADING for each in seen.models.values()) >= 3
    )
    began = time.monotonic()
    new = replace(rig.upload("new", 2.0), name="old")
    other = rig.upload("other", 3.0)
    rig.agent.want_by_file(new, other, *bad)
    for each in (new, other):
        rig.agent.state(each.name, lambda seen, each=each: seen.loaded == each.digest)
    rig.agent.want_by_file(new, *bad)
    rig.agent.see(lambda seen: "other" not in seen.models)
    assert time.monotonic() - began < 20
    rig.server.process.end(signal.SIGKILL)
