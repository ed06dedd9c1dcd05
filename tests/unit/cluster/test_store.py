"""What the store keeps, whom a change concerns, and what a relist mends."""

from shoal.cluster import kinds
from shoal.cluster.ports import Body
from shoal.cluster.store import Store
from support import builders

A, B = ("default", "a"), ("default", "b")


def model(name: str, parent: str, version: str = "1") -> Body:
    return builders.trained_model(name, parent=parent, resourceVersion=version)


def held(store: Store, key: tuple[str, str]) -> list[str]:
    return [body["metadata"]["name"] for body in store.of_service(kinds.TRAINED_MODEL, key)]


def test_models_are_found_by_their_service_in_order() -> None:
    store = Store()
    for name in ("m2", "m1"):
        assert store.put(kinds.TRAINED_MODEL, model(name, "a")) == {A}
    assert held(store, A) == ["m1", "m2"]


def test_a_model_that_moves_concerns_both_services() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a"))
    assert store.put(kinds.TRAINED_MODEL, model("m", "b", "2")) == {A, B}
    assert held(store, A) == []
    assert held(store, B) == ["m"]


def test_a_removed_model_concerns_its_service() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a"))
    assert store.remove(kinds.TRAINED_MODEL, "default", "m") == {A}
    assert store.services() == set()


def test_children_concern_the_service_in_their_label() -> None:
    store = Store()
    labels = {"serving.kserve.io/inferenceservice": "a"}
    assert store.put(kinds.DEPLOYMENT, builders.deployment(labels=labels)) == {A}
    assert store.put(kinds.POD, builders.pod()) == set()


def test_users_of_an_account_are_those_that_name_it() -> None:
    store = Store()
    store.put(kinds.INFERENCE_SERVICE, builders.inference_service("a"))
    named = builders.inference_service("b", predictor={"serviceAccountName": "robot"})
    store.put(kinds.INFERENCE_SERVICE, named)
    assert store.users_of_account("default", "default") == {A}
    assert store.users_of_account("default", "robot") == {B}
    assert store.users_of_account("other", "robot") == set()


def test_a_sweep_adds_what_the_watch_missed() -> None:
    store = Store()
    before = store.versions(kinds.TRAINED_MODEL)
    assert store.sweep(kinds.TRAINED_MODEL, [model("m", "a")], before) == {A}
    assert held(store, A) == ["m"]


def test_a_sweep_removes_what_vanished_unseen() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a"))
    assert store.sweep(kinds.TRAINED_MODEL, [], store.versions(kinds.TRAINED_MODEL)) == {A}
    assert held(store, A) == []


def test_a_sweep_replaces_what_changed_unseen() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a"))
    before = store.versions(kinds.TRAINED_MODEL)
    assert store.sweep(kinds.TRAINED_MODEL, [model("m", "b", "2")], before) == {A, B}


def test_a_sweep_of_what_is_right_concerns_nobody() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a"))
    before = store.versions(kinds.TRAINED_MODEL)
    assert store.sweep(kinds.TRAINED_MODEL, [model("m", "a")], before) == set()


def test_a_sweep_keeps_what_the_watch_brought_meanwhile() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("old", "a"))
    before = store.versions(kinds.TRAINED_MODEL)
    store.put(kinds.TRAINED_MODEL, model("new", "a"))
    store.put(kinds.TRAINED_MODEL, model("old", "a", "3"))
    assert store.sweep(kinds.TRAINED_MODEL, [model("old", "a", "2")], before) == set()
    assert held(store, A) == ["new", "old"]


def test_a_sweep_does_not_revive_what_was_removed_meanwhile() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a"))
    before = store.versions(kinds.TRAINED_MODEL)
    store.remove(kinds.TRAINED_MODEL, "default", "m")
    assert store.sweep(kinds.TRAINED_MODEL, [model("m", "a")], before) == set()
    assert held(store, A) == []
