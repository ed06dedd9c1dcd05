"""The model server dies, hangs or is busy: its agent knows which, and soon."""

import contextlib
import io
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import joblib

from shoal.modelstates import Report, State
from support.agentrigs import until

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name
# An agent looks every second and gives two seconds for an answer; the rest is this machine's.
HUNG_SECONDS = 10.0


class Slow:
    """A model whose load takes long; joblib files are programs."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        code = f"__import__('time').sleep({self._seconds})"
        return eval, (code,)


def slow(seconds: float) -> bytes:
    sink = io.BytesIO()
    joblib.dump(Slow(seconds), sink)
    return sink.getvalue()


def nothing_loaded(report: Report) -> bool:
    return not any(state.loaded for state in report.models.values())


@contextlib.contextmanager
def hung(rig: RigFixture) -> Iterator[None]:
    """Let the server accept and never answer."""
    process = rig.server.process.running
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_a_killed_server_is_noticed_at_once(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    rig.start(one, two)
    rig.agent.loaded(one, two)
    took = []
    for _ in range(3):
        time.sleep(1.5)  # the agent has looked, and waits
        rig.server.process.end()
        killed = time.monotonic()
        rig.agent.see(nothing_loaded)
        took.append(time.monotonic() - killed)
        assert {state.reason for state in rig.agent.seen.models.values()} == {"ServerUnavailable"}
        rig.server.start()
        rig.agent.loaded(one, two)
    assert min(took) < 0.4, "the next look would come after a second"


def test_a_server_that_hangs_is_noticed_and_its_return_as_well(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    rig.start(one, two)
    rig.agent.loaded(one, two)
    with hung(rig):
        began = time.monotonic()
        rig.agent.see(nothing_loaded)
        assert time.monotonic() - began < HUNG_SECONDS
        assert rig.agent.status("/readyz") == 503
    rig.agent.loaded(one, two)
    assert rig.server.loads() == 2, "it had lost nothing"
    until(lambda: rig.agent.status("/readyz") == 200)


def test_a_server_that_answers_nobody_while_it_loads_keeps_its_models(rig: RigFixture) -> None:
    one = rig.upload("one", 1.0)
    rig.start(one)
    rig.agent.loaded(one)
    late = rig.upload("late", slow(5.0))
    rig.agent.want_by_file(one, late)
    rig.agent.state("late", lambda seen: seen.state is State.LOADING)
    with hung(rig):
        deadline = time.monotonic() + 6.0
        while time.monotonic() < deadline:
            assert rig.agent.report().models["one"].loaded == one.digest
            assert rig.agent.status("/readyz") == 200
            time.sleep(0.1)
    rig.agent.state("late", lambda seen: seen.state is State.LOADED)


def test_agents_hold_one_connection_and_no_more(rig: RigFixture) -> None:
    one = rig.upload("one", 1.0)
    rig.start(one)
    rig.agent.loaded(one)
    time.sleep(2.5)
    folder = Path(f"/proc/{rig.server.process.running.pid}/fd")

    def sockets() -> int:
        with contextlib.suppress(FileNotFoundError):  # one was closed just now
            return sum(str(link.readlink()).startswith("socket:") for link in folder.iterdir())
        return 0

    # The one it listens on, and the agent's; one more only while the agent looks.
    until(lambda: sockets() == 2, 5)


ONE_AT_A_TIME = """
import sys
sys.path.insert(0, {folder!r})
import http.server, server
http.server.HTTPServer(("127.0.0.1", {port}), server.Handler).serve_forever()
"""


def test_a_server_that_takes_one_connection_at_a_time_is_left_free(rig: RigFixture) -> None:
    program = Path(rig.server.process.argv[1])
    script = ONE_AT_A_TIME.format(folder=str(program.parent), port=rig.server.port)
    rig.server.process.argv[1:] = ["-c", script]
    one = rig.upload("one", 1.0)
    rig.start(one)
    rig.agent.loaded(one)
    time.sleep(2.5)  # the agent's idle connection was in the way, and has been given up
    took, deadline = [], time.monotonic() + 4
    while time.monotonic() < deadline:
        began = time.monotonic()
        assert rig.server.predict("one") == 1.0
        took.append(time.monotonic() - began)
        assert rig.agent.report().models["one"].loaded == one.digest
        time.sleep(0.1)
    assert median(took) < 0.5
