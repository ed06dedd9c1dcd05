"""Upgrading the operator restarts no pod: its templates are those of the release before.

`released.json` has, for each case, what that release recorded on the Deployment and the digest of
the pod template. A newer operator finds these, under an image of its own, and must come to the
same template. While the file is of the version that is being worked on, `make golden UPDATE=1`
rewrites it; afterwards only `UPDATE=release` does, when a release is made.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from golden.test_golden import CASES, read
from shoal import __version__
from shoal.api import settings
from shoal.cluster import kinds
from shoal.desired import records
from shoal.reconcile import plans
from shoal.reconcile.observations import Observed
from support.builders import Body

FILE = Path(__file__).parent / "released.json"
UPDATE = os.environ.get("SHOAL_UPDATE_GOLDEN", "")
IS_OURS = json.loads(FILE.read_text())["release"] == __version__
NEXT = "localhost/shoal:next"
ADVICE = (
    "an upgrade would restart the pods of case {}: let the template be as it was for what a"
    " Deployment records, or, where it has to change, say so in CHANGELOG.md"
)


def _deployment(bodies: tuple[Body, ...]) -> Body | None:
    return next((body for body in bodies if body["kind"] == kinds.DEPLOYMENT.kind), None)


def _rendered(case: Path, seen: Observed | None = None, **image: str) -> Body | None:
    """Make the case's Deployment; None where there is none."""
    observed, data, is_free = read(case)
    config = settings.parse(data, **image)
    return _deployment(plans.make(seen or observed, config, entry_service=is_free).children)


def _upgraded(case: Path, annotations: dict[str, str]) -> Body | None:
    """Make the Deployment over that of the release before, with another operator's image."""
    seen, _, _ = read(case)
    before = _deployment(seen.children) or _rendered(case)
    assert before is not None
    meta = before["metadata"] | {"annotations": annotations}
    others = [body for body in seen.children if body["kind"] != kinds.DEPLOYMENT.kind]
    upgraded = replace(seen, children=(*others, before | {"metadata": meta}))
    return _rendered(case, upgraded, default_image=NEXT)


def _entry(made: Body) -> Body:
    return {
        "annotations": made["metadata"].get("annotations", {}),
        "template": records.digest(made["spec"]["template"]),
    }


@pytest.fixture(scope="module")
def released() -> dict[str, Any]:
    """What the release before left, by case; recorded first where that is asked for."""
    if UPDATE == "release" or (UPDATE and IS_OURS):
        made = {case.name: _rendered(case) for case in CASES}
        cases = {name: _entry(body) for name, body in made.items() if body}
        record = {"release": __version__, "cases": cases}
        FILE.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    found: dict[str, Any] = json.loads(FILE.read_text())["cases"]
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_upgrade_leaves_the_pods_as_they_are(case: Path, released: dict[str, Any]) -> None:
    before = released.get(case.name)
    if before is None:  # a case of later, or one without pods
        assert not IS_OURS or _rendered(case) is None, "make golden UPDATE=1 records it"
        return
    made = _upgraded(case, before["annotations"])
    assert made is not None
    assert _entry(made)["template"] == before["template"], ADVICE.format(case.name)
    assert NEXT not in json.dumps(made)
