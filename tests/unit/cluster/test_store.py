"""What the store keeps, whom a change concerns, and what a relist mends."""

from shoal.cluster import kinds
from shoal.cluster.ports import Body
from shoal.cluster.store import Store
from shoal.desired.records import Record
from shoal.runtimes import pins
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


def runtime(version: str = "1", *formats: str, namespace: str = "") -> Body:
    meta = {"resourceVersion": version}
    return builders.serving_runtime(*formats or ("sklearn",), metadata=meta, namespace=namespace)


def looking(name: str, format_: str = "sklearn", namespace: str = "default") -> Body:
    return builders.framework(format_, name=name, namespace=namespace)


def test_a_runtime_concerns_those_that_look_for_it() -> None:
    store = Store()
    for body in (looking("a"), looking("b", "onnx"), looking("c", namespace="other")):
        store.put(kinds.INFERENCE_SERVICE, body)
    everywhere = {A, ("other", "c")}
    assert store.put(kinds.CLUSTER_SERVING_RUNTIME, runtime()) == everywhere
    assert store.put(kinds.SERVING_RUNTIME, runtime(namespace="default")) == {A}
    assert store.remove(kinds.SERVING_RUNTIME, "default", "kserve-mlserver") == {A}
    assert store.remove(kinds.CLUSTER_SERVING_RUNTIME, "", "kserve-mlserver") == everywhere
    assert store.remove(kinds.CLUSTER_SERVING_RUNTIME, "", "kserve-mlserver") == set()


def test_a_changed_runtime_concerns_those_before_and_those_now() -> None:
    store = Store()
    store.put(kinds.INFERENCE_SERVICE, looking("a"))
    store.put(kinds.INFERENCE_SERVICE, looking("b", "onnx"))
    store.put(kinds.CLUSTER_SERVING_RUNTIME, runtime())
    assert store.put(kinds.CLUSTER_SERVING_RUNTIME, runtime("2", "onnx")) == {A, B}
    assert store.put(kinds.CLUSTER_SERVING_RUNTIME, runtime("2", "onnx")) == set()


def test_a_runtime_concerns_those_whose_deployment_names_it() -> None:
    store = Store()
    labels = {"serving.kserve.io/inferenceservice": "a"}
    body = runtime("1", "onnx")
    pin = pins.Pin(body["kind"], body["metadata"]["name"], "digest", "v2")
    store.put(kinds.INFERENCE_SERVICE, looking("a"))
    assert store.put(kinds.CLUSTER_SERVING_RUNTIME, body) == set()
    deployment = builders.deployment(labels=labels, annotations=pin.encode())
    store.put(kinds.DEPLOYMENT, deployment)
    assert store.put(kinds.CLUSTER_SERVING_RUNTIME, runtime("2", "onnx")) == {A}


def test_a_sweep_of_runtimes_wakes_their_services() -> None:
    store = Store()
    store.put(kinds.INFERENCE_SERVICE, looking("a"))
    before = store.versions(kinds.CLUSTER_SERVING_RUNTIME)
    assert store.sweep(kinds.CLUSTER_SERVING_RUNTIME, [runtime()], before) == {A}
    before = store.versions(kinds.CLUSTER_SERVING_RUNTIME)
    assert store.sweep(kinds.CLUSTER_SERVING_RUNTIME, [runtime()], before) == set()
    assert store.sweep(kinds.CLUSTER_SERVING_RUNTIME, [], before) == {A}


def test_runtimes_are_the_namespaces_and_the_clusters() -> None:
    store = Store()
    store.put(kinds.CLUSTER_SERVING_RUNTIME, runtime())
    for namespace in ("default", "other"):
        store.put(kinds.SERVING_RUNTIME, runtime(namespace=namespace))
    found = [body["metadata"]["namespace"] for body in store.runtimes("default")]
    assert found == ["default", ""]


def fetcher(version: str = "1", *prefixes: str) -> Body:
    meta = {"resourceVersion": version}
    return builders.storage_container(*prefixes or ("demo://",), metadata=meta)


def fetched(name: str, uri: str) -> Body:
    return builders.framework("sklearn", {"storageUri": uri}, name=name)


def test_a_storage_container_concerns_those_whose_address_it_supports_or_did() -> None:
    store, kind = Store(), kinds.CLUSTER_STORAGE_CONTAINER
    for body in (fetched("a", "demo://m"), fetched("b", "s3://m"), looking("c")):
        store.put(kinds.INFERENCE_SERVICE, body)
    assert store.put(kind, fetcher()) == {A}
    assert store.put(kind, fetcher("2", "s3://")) == {A, B}
    assert store.put(kind, fetcher("2", "s3://")) == set()
    assert [body["metadata"]["name"] for body in store.storage_containers()] == ["fetcher"]
    assert store.remove(kind, "", "fetcher") == {B}
    assert store.storage_containers() == []


def test_a_storage_container_concerns_those_whose_deployment_names_it() -> None:
    store = Store()
    store.put(kinds.INFERENCE_SERVICE, fetched("a", "s3://m"))
    deployment = builders.deployment(
        labels={"serving.kserve.io/inferenceservice": "a"},
        annotations=Record(storage_container="fetcher").encode(),
    )
    store.put(kinds.DEPLOYMENT, deployment)
    assert store.put(kinds.CLUSTER_STORAGE_CONTAINER, fetcher()) == {A}


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


def test_an_older_state_is_let_pass() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a", "10"))
    assert store.put(kinds.TRAINED_MODEL, model("m", "b", "9")) == set()
    assert held(store, A) == ["m"]


def test_what_was_removed_stays_removed_when_an_older_answer_comes_late() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a", "1"))
    store.remove(kinds.TRAINED_MODEL, "default", "m")
    assert store.put(kinds.TRAINED_MODEL, model("m", "a", "2")) == set()
    assert held(store, A) == []


def test_what_its_label_was_taken_off_comes_back_with_it() -> None:
    """A watch with a selector calls it deleted, and then added, under the same uid."""
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a", "1"))
    uid = "uid-of-m"
    assert store.remove(kinds.TRAINED_MODEL, "default", "m", uid, "5") == {A}
    assert store.put(kinds.TRAINED_MODEL, model("m", "a", "4")) == set(), "a late answer"
    assert store.put(kinds.TRAINED_MODEL, model("m", "a", "6")) == {A}
    assert held(store, A) == ["m"]
    assert store.put(kinds.TRAINED_MODEL, model("m", "b", "7")) == {A, B}


def test_a_sweep_finds_what_was_taken_for_gone() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a", "1"))
    store.remove(kinds.TRAINED_MODEL, "default", "m")
    before = store.versions(kinds.TRAINED_MODEL)
    assert store.sweep(kinds.TRAINED_MODEL, [model("m", "a", "1")], before) == {A}
    assert held(store, A) == ["m"]


def test_another_object_of_the_same_name_may_come() -> None:
    store = Store()
    store.put(kinds.TRAINED_MODEL, model("m", "a", "10"))
    store.remove(kinds.TRAINED_MODEL, "default", "m")
    anew = builders.trained_model("m", parent="a", resourceVersion="11", uid="another")
    assert store.put(kinds.TRAINED_MODEL, anew) == {A}
    assert held(store, A) == ["m"]


def test_the_end_of_one_leaves_its_successor() -> None:
    store = Store()
    old = builders.trained_model("m", parent="a", resourceVersion="10", uid="old")
    store.put(kinds.TRAINED_MODEL, old)
    new = builders.trained_model("m", parent="a", resourceVersion="12", uid="new")
    assert store.put(kinds.TRAINED_MODEL, new) == {A}
    assert store.put(kinds.TRAINED_MODEL, old) == set()
    assert store.remove(kinds.TRAINED_MODEL, "default", "m", "old") == set()
    assert store.get(kinds.TRAINED_MODEL, "default", "m") == new
    assert store.remove(kinds.TRAINED_MODEL, "default", "m", "new") == {A}
    assert held(store, A) == []
