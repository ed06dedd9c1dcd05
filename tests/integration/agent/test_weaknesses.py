"""What models on upstream's agent suffer from (docs/weaknesses.md), and ours do not."""

import shutil
import signal
import time
from dataclasses import replace
from typing import Any
from urllib.request import urlopen

import pytest

from support.agentrigs import until

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name


@pytest.mark.weakness("M4")
def test_a_pod_whose_first_models_come_to_nothing_takes_requests(rig: RigFixture) -> None:
    good = rig.upload("good", 1.0)
    missing = replace(good, name="missing", storage_uri="s3://models/missing")
    scheme = replace(good, name="scheme", storage_uri="gopher://models/good")
    rig.start(missing, scheme, good)
    until(lambda: rig.agent.status("/readyz") == 200)
    assert rig.server.predict("good") == 1.0


@pytest.mark.weakness("M6")
def test_models_that_change_during_the_first_download_are_served(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    changed = replace(two, name="one")
    store = rig.bucket.process.running
    store.send_signal(signal.SIGSTOP)
    try:
        rig.start(one)
        rig.agent.state("one", lambda seen: seen.wanted == one.digest)
        time.sleep(0.5)  # its store is being asked by now, and does not answer
        rig.agent.want_by_file(changed, two)
        rig.agent.state("two", lambda seen: seen.wanted == two.digest)
    finally:
        store.send_signal(signal.SIGCONT)
    rig.agent.loaded(changed, two)
    assert (rig.server.predict("one"), rig.server.predict("two")) == (2.0, 2.0)


@pytest.mark.weakness("M16")
def test_a_server_on_a_port_of_its_own_is_loaded_and_its_agent_can_be_watched(
    rig: RigFixture,
) -> None:
    one = rig.upload("one", 1.0)
    rig.start(one)
    assert rig.server.port != 8080
    rig.agent.loaded(one)
    until(lambda: rig.agent.status("/readyz") == 200)
    assert rig.agent.status("/livez") == 200
    metrics = f"http://127.0.0.1:{rig.agent.port}/metrics"
    line = b'shoal_agent_models{state="Loaded"} 1.0'
    until(lambda: line in urlopen(metrics).read(), 5)


@pytest.mark.weakness("M22")
def test_a_deleted_model_stops_answering_also_when_its_files_are_gone(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    rig.start(one, two)
    rig.agent.loaded(one, two)
    link = rig.agent.folder / "models" / "one"
    shutil.rmtree(link.resolve())
    link.unlink()
    assert rig.server.predict("one") == 1.0, "the server has it in memory"
    rig.agent.want_by_file(two)
    rig.agent.loaded(two)
    assert rig.server.predict("one") is None
    assert rig.server.predict("two") == 2.0
