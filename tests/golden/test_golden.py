"""Resources in, children and status out: `<case>/input.yaml` against what stands beside it.

`input.yaml` holds manifests as users type them, with what else was observed: the ConfigMap
`inferenceservice-config`, the ServiceAccount, KEDA's definition (its name alone), pods, the
Deployment's status, a foreign Service.
Runtimes are those of the chart (`runtimes.yaml`), unless the input has some of its own.
`reports.yaml`, where there is one, says what each pod's agent tells of each model, and `version`
which one the API server has.
`make golden UPDATE=1` writes `children.yaml` and `status.yaml` anew.
"""

import copy
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from shoal import modelconfig, names
from shoal.api import settings
from shoal.cluster import kinds
from shoal.modelstates import State
from shoal.reconcile import observations, plans, verdicts
from shoal.reconcile.observations import Observed
from shoal.reconcile.plans import Plan
from shoal.reconcile.verdicts import Verdict
from shoal.status.replicas import Replica
from support import builders, manifests
from support.builders import NOW, Body

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/input.yaml"))
UPDATE = bool(os.environ.get("SHOAL_UPDATE_GOLDEN"))
RUNTIMES = tuple(kind.kind for kind in kinds.RUNTIMES)
CHARTS_RUNTIMES = manifests.read(Path(__file__).parent / "runtimes.yaml")
VERSION = "1.34"
CHILDREN = frozenset(kind.kind for kind in (*kinds.CHILDREN, *kinds.OPTIONAL))


class Agents:
    """The agents' reports by pod uid, from `reports.yaml`."""

    def __init__(self, case: Path, models: list[Body]) -> None:
        path = case / "reports.yaml"
        self._rows = yaml.safe_load(path.read_text()) if path.exists() else {}
        self._wanted = {body["metadata"]["name"]: _wanted(body) for body in models}

    def report(self, uid: str) -> Any:
        row = self._rows.get(uid.removeprefix("uid-of-"))
        if row is None:
            return None
        states = {name: self._state(name, fields) for name, fields in row.items()}
        return replace(builders.report(), models=states)

    def follow(self, _key: object, _addresses: object) -> None:
        """Nothing is asked for over a network here."""

    def leave(self, _key: object, but: object) -> None:
        """Nor is anything left."""

    def _state(self, name: str, fields: Body) -> Any:
        given = {key: value for key, value in fields.items() if key != "state"}
        return builders.model_state(State(fields["state"]), self._wanted[name], **given)


def _wanted(body: Body) -> modelconfig.Model:
    model = body["spec"]["model"]
    return modelconfig.Model(
        body["metadata"]["name"], model["storageUri"], model["framework"], model["memory"]
    )


def _stored(body: Body) -> Body:
    """Add what the API server adds."""
    stored = copy.deepcopy(body)
    given = stored.get("metadata", {})
    stored["metadata"] = {**builders.metadata(given["name"]), **given}
    return stored


def _of_kind(bodies: list[Body], *wanted: str) -> list[Body]:
    return [body for body in bodies if body["kind"] in wanted]


def _is_foreign(body: Body) -> bool:
    return bool(body["kind"] == "Service" and not body["metadata"].get("ownerReferences"))


def _observe(bodies: list[Body], version: tuple[int, int]) -> Observed:
    (service,) = _of_kind(bodies, "InferenceService")
    children = [body for body in _of_kind(bodies, *CHILDREN) if not _is_config(body)]
    return Observed(
        key=(service["metadata"]["namespace"], service["metadata"]["name"]),
        service=service,
        models=tuple(_of_kind(bodies, "TrainedModel")),
        children=tuple(body for body in children if not _is_foreign(body)),
        pods=tuple(_of_kind(bodies, "Pod")),
        account=next(iter(_of_kind(bodies, "ServiceAccount")), None),
        kubernetes=version,
        storage_containers=tuple(_of_kind(bodies, "ClusterStorageContainer")),
        has_keda=bool(_of_kind(bodies, "CustomResourceDefinition")),
        runtimes=tuple(_of_kind(bodies, *RUNTIMES) or CHARTS_RUNTIMES),
    )


def _is_config(body: Body) -> bool:
    return bool(body["metadata"]["name"] == names.OPERATOR_CONFIG)


def read(case: Path) -> tuple[Observed, dict[str, str], bool]:
    """Read what is observed, the configuration, and whether the entry's name is free."""
    bodies = [_stored(body) for body in manifests.read(case / "input.yaml")]
    data = next((body["data"] for body in bodies if _is_config(body)), {})
    return _observe(bodies, _version(case)), data, not any(map(_is_foreign, bodies))


def _version(case: Path) -> tuple[int, int]:
    path = case / "version"
    major, minor = (path.read_text() if path.exists() else VERSION).split(".")
    return int(major), int(minor)


def _decide(case: Path) -> tuple[Plan, Verdict]:
    seen, data, is_free = read(case)
    plan = plans.make(seen, settings.parse(data), entry_service=is_free)
    applied = replace(seen, children=(*seen.children, *_unseen(plan, seen)))
    replicas = _replicas(case, applied)
    return plan, verdicts.judge(applied, plan, replicas, plan.fault, NOW)


def _unseen(plan: Plan, seen: Observed) -> list[Body]:
    there = {(body["kind"], body["metadata"]["name"]) for body in seen.children}
    return [
        body for body in plan.children if (body["kind"], body["metadata"]["name"]) not in there
    ]


def _replicas(case: Path, seen: Observed) -> tuple[Replica, ...]:
    agents: Any = Agents(case, list(seen.models))
    return observations.replicas_of(seen.pods, agents)


def _statuses(verdict: Verdict) -> list[Body]:
    models = [
        {"kind": "TrainedModel", "name": name, "settled": judged.settled, "status": judged.status}
        for name, judged in sorted(verdict.models.items())
    ]
    return [{"kind": "InferenceService", "status": verdict.service}, *models]


def _check(path: Path, bodies: list[Body]) -> None:
    # JSON's types only, and no anchors where two parts are the same object.
    text = "".join(
        "---\n" + yaml.dump(copy.deepcopy(body), Dumper=_Plain, width=99) for body in bodies
    )
    if UPDATE:
        path.write_text(text)
    assert text == path.read_text()


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_children_and_status(case: Path) -> None:
    plan, verdict = _decide(case)
    _check(case / "children.yaml", list(plan.children))
    _check(case / "status.yaml", _statuses(verdict))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_children_are_what_kubernetes_knows(case: Path) -> None:
    for body in manifests.read(case / "children.yaml"):
        if kinds.of(body) not in kinds.OPTIONAL:  # their schemas are not Kubernetes' own
            manifests.check(body)
