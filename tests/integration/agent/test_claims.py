"""Models on a claim of the pod, with a real agent and a real server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from shoal.modelconfig import Model
from support.agentrigs import artefact

# A folder stands for the mounted volume: the agent sees no difference.


def put(folder: Path, value: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.joblib").write_bytes(artefact(value))


def test_a_model_is_copied_and_changes_only_when_asked(
    make_rig: Callable[..., Any], tmp_path: Path
) -> None:
    put(tmp_path / "claims" / "data" / "m", 1.0)
    rig = make_rig(SHOAL_CLAIM_DIR=str(tmp_path / "claims"))
    first = Model("m", "pvc://data/m", "sklearn", "1Mi")
    rig.start(first)
    rig.agent.loaded(first)
    assert rig.server.predict("m") == 1.0

    put(tmp_path / "claims" / "data" / "m", 2.0)
    rig.server.process.end()
    rig.agent.see(lambda seen: not seen.models["m"].loaded)
    rig.server.start()
    rig.agent.loaded(first)
    assert rig.server.predict("m") == 1.0, "what is Ready changed behind it"

    second = Model("m", "pvc://data/m", "sklearn", "1Mi", refresh="2")
    rig.agent.want_by_file(second)
    rig.agent.loaded(second)
    assert rig.server.predict("m") == 2.0


def test_a_claim_that_is_missing_is_said(make_rig: Callable[..., Any], tmp_path: Path) -> None:
    rig = make_rig(SHOAL_CLAIM_DIR=str(tmp_path))
    rig.start(Model("m", "pvc://data/m", "sklearn", "1Mi"))
    state = rig.agent.state("m", lambda seen: bool(seen.message))
    assert state.reason == "ClaimNotMounted"
    assert "add it to spec.predictor.volumes" in state.message
