"""Updates from a web server that misbehaves: the old version answers until the new one is in."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shoal.modelconfig import Model
from shoal.modelstates import ModelState, State
from support import faultysites
from support.agentrigs import artefact
from support.faultysites import Answer, Site, broken, silent, status, whole

OLD, NEW = artefact(1.0), artefact(2.0)
RIGHT = f"sha256:{hashlib.sha256(NEW).hexdigest()}"
# What a model's address answers, and the reason that its state has.
ROWS: dict[str, tuple[Answer, str]] = {
    "busy": (status("503 Busy"), "StorageUnavailable"),
    "gone": (status("404 Not Found"), "ModelNotFound"),
    "forbidden": (status("403 Forbidden"), "CredentialsRefused"),
    "silent": (silent, "StorageUnavailable"),
    "hung": (broken(NEW, 50, "hang"), "DownloadFailed"),
    "reset": (broken(NEW, 50, "reset"), "DownloadFailed"),
    "cut": (broken(NEW, 50, "close"), "DownloadFailed"),
    "looping": (status("302 Found", Location="model.joblib"), "StorageUnavailable"),
    "other": (whole(OLD + b"x"), "DigestMismatch"),
    "encoded": (whole(NEW, Content_Encoding="zstd"), "InvalidArtifact"),
}
BROKEN_OFF = {"hung", "reset", "cut"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with faultysites.running(tmp_path / "site") as running:
        yield running


def update(site: Site, model: Model) -> Model:
    """Wish for what the site has; its links are signed."""
    url = f"{site.url}/{model.name}/model.joblib?signature=hidden"
    return replace(model, storage_uri=url, artifact_digest=RIGHT)


def counted(rig: Any) -> int:
    """Count the downloads of the file that is not what was promised."""
    said = (line["message"] for line in rig.agent.lines() if line.get("model") == "other")
    return sum("downloading" in message for message in said)


def failing(reason: str) -> Callable[[ModelState], bool]:
    def has_failed(seen: ModelState) -> bool:
        return (seen.state, seen.reason) == (State.FAILED, reason) and seen.attempt > 1

    return has_failed


def test_every_fault_leaves_the_old_version_and_heals(make_rig: Any, site: Site) -> None:
    rig = make_rig(SHOAL_FETCH_STALL_SECONDS="3", SHOAL_FETCH_CONCURRENCY="20")
    first = rig.upload("first", OLD)
    before = {name: replace(first, name=name) for name in ROWS}
    rig.start(*before.values())
    rig.agent.loaded(*before.values())
    for name, (answer, _) in ROWS.items():
        site.plan(f"/{name}/model.joblib", answer)
    after = {name: update(site, model) for name, model in before.items()}
    rig.agent.want_by_file(*after.values())

    for name, (_, reason) in ROWS.items():
        state = rig.agent.state(name, failing(reason))
        assert state.loaded == before[name].digest
        assert state.next_try
        assert "hidden" not in state.message
        assert rig.server.predict(name) == 1.0
    # What is known to be wrong is asked about again, and not brought again.
    downloads, tries = counted(rig), rig.agent.seen.models["other"].attempt
    rig.agent.state("other", lambda seen: seen.attempt > tries)
    assert counted(rig) == downloads > 0
    assert sum("range" not in asked.headers for asked in site.seen("/other/model.joblib")) > 1
    for name in ROWS:
        site.plan(f"/{name}/model.joblib", whole(NEW, etag='"v2"'))
    rig.agent.loaded(*after.values(), seconds=60)
    assert {rig.server.predict(name) for name in ROWS} == {2.0}
    assert "hidden" not in rig.agent.process.log.read_text()
    # What broke off is kept for its next try, and goes with its hour or where room is short.
    half = list((rig.agent.folder / "store" / "partial").iterdir())
    assert len(half) <= len(BROKEN_OFF)
