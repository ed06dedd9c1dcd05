"""The store of a real agent, kept within its limit."""

import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shoal.modelconfig import Model
from shoal.modelstates import State
from support.agentrigs import until

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name
MIB = 1024 * 1024
LIMIT = 4 * MIB  # of which a twentieth is for notes: three trees of a MiB each, and not four


@pytest.fixture
def rig(make_rig: Any) -> Any:
    return make_rig(SHOAL_STORE_BYTES=str(LIMIT))


def upload(rig: RigFixture, name: str, value: float, mib: int = 1) -> Model:
    """Upload a model of so many MiB."""
    model: Model = rig.upload(name, value)
    rig.bucket.put(f"{name}/padding", name.encode().ljust(mib * MIB, b"."))
    return model


def taken(rig: RigFixture) -> int:
    """Count as the kubelet does."""
    total = 0
    for folder, folders, files in os.walk(rig.agent.folder / "store"):
        for name in folders + files:
            try:
                total += Path(folder, name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def downloads(rig: RigFixture) -> list[str]:
    """Name what was downloaded, in order."""
    lines = (line["message"] for line in rig.agent.lines())
    return [line.rpartition("/")[2] for line in lines if line.startswith("downloading")]


def want(rig: RigFixture, *models: Model) -> None:
    rig.agent.want_by_file(*models)
    rig.agent.loaded(*models)


def test_the_least_recently_used_bytes_make_room_and_the_others_stay_for_a_way_back(
    rig: RigFixture,
) -> None:
    versions = [replace(upload(rig, f"v{row}", float(row)), name="m") for row in range(4)]
    rig.start(versions[0])
    rig.agent.loaded(versions[0])
    for row in (1, 2, 3, 2, 1, 0):
        want(rig, versions[row])
        assert taken(rig) < LIMIT
    assert rig.server.predict("m") == 0.0
    assert downloads(rig) == ["v0", "v1", "v2", "v3", "v0"]
    dropped = [line for line in rig.agent.lines() if line["message"].startswith("dropping")]
    assert len(dropped) == 2


def test_a_model_that_cannot_fit_says_both_numbers_and_heals(rig: RigFixture) -> None:
    small = upload(rig, "small", 1.0)
    large = replace(upload(rig, "large", 2.0, mib=5), name="small")
    rig.start(small)
    rig.agent.loaded(small)
    rig.agent.want_by_file(large)
    state = rig.agent.state("small", lambda seen: seen.state is State.FAILED)
    assert (state.reason, state.loaded) == ("StoreFull", small.digest)
    said = re.fullmatch(
        r"s3://models/large: needs (\d+) bytes of disk, and (\d+) can be had"
        r" \(0 of them by dropping what no model needs\)",
        state.message,
    )
    assert said, state.message
    assert 5 * MIB < int(said[1]) < 5.1 * MIB
    assert 2 * MIB < int(said[2]) < 3 * MIB
    assert rig.server.predict("small") == 1.0
    rig.bucket.put("large/padding", b"x")
    rig.agent.loaded(large)


def test_many_at_once_fill_the_store_and_no_more(rig: RigFixture) -> None:
    models = [upload(rig, f"m{row}", float(row)) for row in range(6)]
    rig.start(*models)
    report = rig.agent.see(
        lambda seen: (
            sorted(each.state for each in seen.models.values())
            == [State.FAILED] * 3 + [State.LOADED] * 3
        )
    )
    assert taken(rig) < LIMIT
    stuck = [name for name, each in report.models.items() if each.state is State.FAILED]
    assert {report.models[name].reason for name in stuck} == {"StoreFull"}
    rig.agent.want_by_file(*(model for model in models if model.name in stuck))
    rig.agent.see(lambda seen: all(seen.models[name].loaded for name in stuck), 60)
    assert taken(rig) < LIMIT


def test_a_killed_agent_leaves_nothing_uncounted(rig: RigFixture) -> None:
    versions = [replace(upload(rig, f"v{row}", float(row)), name="m") for row in range(8)]
    rig.start(versions[0])
    for row, version in enumerate(versions[1:]):
        time.sleep(0.8 + 0.1 * row)
        rig.agent.process.end()
        rig.agent.want_by_file(version)
        rig.agent.start()
    rig.agent.loaded(versions[7])
    until(lambda: taken(rig) < LIMIT)
    assert rig.server.predict("m") == 7.0


def test_identical_artefacts_are_stored_and_counted_once(rig: RigFixture) -> None:
    models = [rig.upload(f"m{row}", 1.0) for row in range(6)]
    for model in models:
        rig.bucket.put(f"{model.name}/padding", b"x" * MIB)
    rig.start(models[0])
    rig.agent.loaded(models[0])
    want(rig, *models)
    assert len(list((rig.agent.folder / "store" / "trees").iterdir())) == 1
