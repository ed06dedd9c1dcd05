"""Kopf's settings, by which it writes nothing and asks for nothing that is not ours."""

from shoal.cluster import kinds
from shoal.handlers import watches


def test_kopf_writes_nothing_of_its_own() -> None:
    made = watches.settings()
    assert not made.posting.enabled
    assert made.peering.standalone


def test_every_core_kind_but_accounts_is_selected_by_the_server() -> None:
    selectors = set(watches.settings().watching.label_selectors.values())
    assert selectors == {"serving.kserve.io/inferenceservice"}
    unselected = {kind.kind for kind in kinds.WATCHED if not kind.selector}
    assert unselected == {"InferenceService", "TrainedModel", "ServiceAccount"}
