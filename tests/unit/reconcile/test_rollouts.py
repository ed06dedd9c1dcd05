"""When the pods of a service are made anew, and what is said while they are not."""

import json
from typing import Any

import pytest

from shoal.api import settings
from shoal.cluster import kinds
from shoal.cluster.store import Store
from shoal.desired.records import Record
from shoal.reconcile import rollouts
from shoal.reconcile.rollouts import Slots
from shoal.runtimes.pins import Pin
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import AVAILABLE, World, until_loaded

DEPLOYMENT = f"{builders.SERVICE}-predictor"


@pytest.fixture
def world() -> World:
    made = World(FakeCluster(), FakeAgents())
    made.cluster.put(builders.inference_service())
    return made


def strategy(world: World) -> Any:
    deployment = world.one(kinds.DEPLOYMENT, "custom-model-mms-predictor")
    return deployment["spec"]["strategy"]["rollingUpdate"]


async def test_on_a_full_cluster_the_old_pod_gives_way_to_the_first_with_an_agent(
    world: World,
) -> None:
    await world.run()
    world.cluster.put(builders.trained_model())
    world.add_pod("pod-old", agent=False)
    world.add_pod("pod-new", ready=False)
    await world.run()
    assert strategy(world) == {"maxSurge": "25%", "maxUnavailable": "25%"}
    new = world.one(kinds.POD, "pod-new")
    new["status"]["conditions"] = [builders.condition("PodScheduled", "False", "Unschedulable")]
    await world.run()
    assert strategy(world) == {"maxSurge": 0, "maxUnavailable": 1}
    del world.cluster.objects["pods", "default", "pod-old"]
    await world.run()
    assert strategy(world) == {"maxSurge": "25%", "maxUnavailable": "25%"}


async def test_a_label_on_the_service_waits_for_the_next_pods_and_is_told(world: World) -> None:
    await until_loaded(world)
    before = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["metadata"]["labels"] = {"team": "a"}
    await world.run()
    assert world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"] == before
    assert world.one(kinds.DEPLOYMENT, DEPLOYMENT)["metadata"]["labels"]["team"] == "a"
    assert world.service("PodsCurrent") == ("False", "Outdated")
    assert world.service() == ("True", "")
    world.cluster.writes.clear()
    await world.run()
    assert world.cluster.writes == []

    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["spec"]["predictor"]["nodeSelector"] = {"a": "b"}
    await world.run()
    made = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]["template"]
    assert made["metadata"]["labels"]["team"] == "a"
    with pytest.raises(StopIteration):
        world.service("PodsCurrent")


MLSERVER = builders.serving_runtime("sklearn")
OTHER = builders.serving_runtime("sklearn", name="other")
NEWER = {"name": "kserve-container", "image": "localhost/mlserver:2"}
WHOLE = builders.condition("Progressing", "True", "NewReplicaSetAvailable")
DISABLED = {"serving.kserve.io/disable-auto-update": "true"}


@pytest.fixture
def served() -> World:
    """A service on a runtime, rolled out."""
    made = World(FakeCluster(), FakeAgents())
    made.cluster.put(builders.framework("sklearn"))
    made.cluster.put(MLSERVER)
    return made


async def rolled_out(world: World) -> None:
    await until_loaded(world)
    end(world)


def end(world: World) -> None:
    """Let the Deployment's rollout come to its end."""
    live = world.one(kinds.DEPLOYMENT, DEPLOYMENT)
    generation = live["metadata"]["generation"]
    live["status"] = {"conditions": [*AVAILABLE, WHOLE], "observedGeneration": generation}


def begin(world: World) -> None:
    """Let the Deployment's controller see that the template is another one."""
    live = world.one(kinds.DEPLOYMENT, DEPLOYMENT)
    live["metadata"]["generation"] += 1


def update(world: World) -> None:
    """Change the runtime."""
    world.cluster.put(builders.serving_runtime("sklearn", containers=[NEWER]))


def busy(world: World, count: int) -> None:
    """Let other services be on their way to the runtime as it is now."""
    for number in range(count):
        body = builders.deployment([*AVAILABLE])
        body["metadata"] |= {
            "name": f"other-{number}",
            "labels": {"serving.kserve.io/inferenceservice": f"other-{number}"},
            "annotations": Record("t", automatic=True).encode(),
        }
        world.cluster.put(body)


def image(world: World) -> str:
    pod = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]["template"]["spec"]
    found: str = pod["containers"][0]["image"]
    return found


def annotate(world: World, annotations: dict[str, str]) -> None:
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["metadata"]["annotations"] = annotations


def change(world: World, **predictor: object) -> None:
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["spec"]["predictor"].update(predictor)
    service["metadata"]["generation"] += 1


async def quiet(world: World) -> float | None:
    """Make a pass that must not write."""
    world.cluster.writes.clear()
    again = await world.run()
    assert world.cluster.writes == []
    return again


async def test_a_changed_runtime_is_followed_while_few_others_are_at_it(served: World) -> None:
    await rolled_out(served)
    busy(served, 9)
    update(served)
    await served.run()
    assert image(served) == "localhost/mlserver:2"
    begin(served)
    await quiet(served)
    assert ("default", builders.SERVICE) in served.store.rolling()


async def test_it_waits_while_as_many_as_may_are_at_it_and_says_so(served: World) -> None:
    await rolled_out(served)
    busy(served, 10)
    update(served)
    again = await served.run()
    assert image(served) == "localhost/mlserver:dev"
    assert served.service("PodsCurrent") == ("False", "RolloutPending")
    assert served.service() == ("True", "")
    assert again == 30
    assert await quiet(served) == 30

    del served.cluster.objects["deployments", "default", "other-0"]
    await served.run()
    assert image(served) == "localhost/mlserver:2"


@pytest.mark.weakness("C35")
async def test_an_update_that_is_disabled_is_held_back_and_what_the_user_changes_is_not(
    served: World,
) -> None:
    await rolled_out(served)
    annotate(served, DISABLED)
    update(served)
    assert await served.run() is None
    assert image(served) == "localhost/mlserver:dev"
    assert served.service("PodsCurrent") == ("False", "Outdated")
    await quiet(served)

    change(served, minReplicas=2, maxReplicas=4)
    await served.run()
    assert served.one(kinds.AUTOSCALER, DEPLOYMENT)["spec"]["minReplicas"] == 2
    assert image(served) == "localhost/mlserver:dev"

    change(served, nodeSelector={"a": "b"})
    await served.run()
    assert image(served) == "localhost/mlserver:2"
    with pytest.raises(StopIteration):
        served.service("PodsCurrent")


async def test_an_annotation_on_the_deployment_lets_no_update_through(served: World) -> None:
    await rolled_out(served)
    annotate(served, DISABLED)
    begin(served)  # an annotation is a new generation, too
    update(served)
    await served.run()
    assert image(served) == "localhost/mlserver:dev"


async def test_without_the_annotation_the_update_follows(served: World) -> None:
    await rolled_out(served)
    annotate(served, DISABLED)
    update(served)
    await served.run()
    annotate(served, {})
    await served.run()
    assert image(served) == "localhost/mlserver:2"


async def test_what_is_held_back_takes_models_and_is_called_at_its_old_port(
    served: World,
) -> None:
    await rolled_out(served)
    annotate(served, DISABLED)
    moved = {**NEWER, "ports": [{"containerPort": 9999}]}
    served.cluster.put(builders.serving_runtime("sklearn", containers=[moved]))
    served.cluster.put(builders.trained_model("model2-custom"))
    await served.run()
    listed = served.one(kinds.CONFIG_MAP, f"modelconfig-{builders.SERVICE}-0")["data"]
    assert "model2-custom" in listed["models.json"]
    ports = served.one(kinds.SERVICE, DEPLOYMENT)["spec"]["ports"]
    assert [port["targetPort"] for port in ports] == [8080]


async def test_a_changed_configuration_waits_its_turn_as_well(served: World) -> None:
    served.data = {"deploy": json.dumps({"maxConcurrentRollouts": 1})}
    await rolled_out(served)
    busy(served, 1)
    served.data["agent"] = json.dumps({"image": "shoal:2"})
    await served.run()
    assert served.service("PodsCurrent") == ("False", "RolloutPending")
    del served.cluster.objects["deployments", "default", "other-0"]
    await served.run()
    pod = served.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]["template"]["spec"]
    assert pod["containers"][-1]["image"] == "shoal:2"


async def test_pods_that_are_not_all_there_are_updated_at_once(served: World) -> None:
    await until_loaded(served)
    busy(served, 10)
    annotate(served, DISABLED)
    update(served)
    await served.run()
    assert image(served) == "localhost/mlserver:2"


async def test_an_update_that_gets_stuck_keeps_its_turn_until_the_next_one(served: World) -> None:
    await rolled_out(served)
    update(served)
    await served.run()
    begin(served)
    stuck = builders.condition("Progressing", "False", "ProgressDeadlineExceeded", "stuck")
    served.one(kinds.DEPLOYMENT, DEPLOYMENT)["status"]["conditions"] = [*AVAILABLE, stuck]
    await served.run()
    assert served.store.rolling() == {("default", builders.SERVICE)}

    busy(served, 10)
    mended = {**NEWER, "image": "localhost/mlserver:3"}
    served.cluster.put(builders.serving_runtime("sklearn", containers=[mended]))
    await served.run()
    assert image(served) == "localhost/mlserver:3"
    assert ("default", builders.SERVICE) in served.store.rolling()


async def test_a_change_of_the_users_own_takes_no_turn(served: World) -> None:
    await rolled_out(served)
    busy(served, 10)
    change(served, nodeSelector={"a": "b"})
    await served.run()
    begin(served)
    assert ("default", builders.SERVICE) not in served.store.rolling()
    pod = served.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"a": "b"}


async def test_the_first_model_waits_for_nobody(world: World) -> None:
    await world.run()
    end(world)
    busy(world, 10)
    world.cluster.put(builders.trained_model())
    await world.run()
    pod = world.one(kinds.DEPLOYMENT, DEPLOYMENT)["spec"]["template"]["spec"]
    assert [box["name"] for box in pod["containers"]] == ["kserve-container", "agent"]


def test_two_that_begin_at_once_are_counted_before_the_store_knows() -> None:
    slots = Slots(Store())
    assert slots.take(("a", "one"), 1)
    assert not slots.take(("a", "two"), 1)
    assert slots.take(("a", "one"), 1)
    slots.give(("a", "one"))
    assert slots.take(("a", "two"), 1)


@pytest.mark.parametrize("end_", ["whole", "deleted"])
def test_the_end_of_one_wakes_the_next(end_: str) -> None:
    store = Store()
    pending = builders.condition("PodsCurrent", "False", "RolloutPending")
    service = builders.framework("sklearn", name="waits")
    store.put(kinds.INFERENCE_SERVICE, service | {"status": {"conditions": [pending]}})
    store.put(kinds.INFERENCE_SERVICE, builders.framework("sklearn", name="rests"))
    meta = {
        "labels": {"serving.kserve.io/inferenceservice": "other"},
        "annotations": Record("t", automatic=True).encode(),
        "resourceVersion": "1",
    }
    rolling = builders.deployment([], **meta)
    assert store.put(kinds.DEPLOYMENT, rolling) == {("default", "other")}
    if end_ == "deleted":
        concerned = store.remove(kinds.DEPLOYMENT, "default", DEPLOYMENT)
    else:
        whole = builders.deployment([WHOLE], **meta | {"resourceVersion": "2"})
        whole["status"]["observedGeneration"] = 1
        concerned = store.put(kinds.DEPLOYMENT, whole)
    assert concerned == {("default", "other"), ("default", "waits")}


def test_what_pods_are_made_of_is_the_runtime_and_the_config_but_not_the_release() -> None:
    pin = Pin("ClusterServingRuntime", "kserve-mlserver", "d", "v2")
    config = settings.parse({}, default_image="shoal:1")
    first = rollouts.source(pin, [MLSERVER, OTHER], config)
    assert rollouts.source(pin, [MLSERVER], settings.parse({}, default_image="shoal:2")) == first
    changed = builders.serving_runtime("sklearn", containers=[NEWER])
    assert rollouts.source(pin, [changed], config) != first
    for key in ("agent", "storageInitializer"):
        limits = settings.parse({key: '{"memoryLimit": "3Gi"}'}, default_image="shoal:1")
        assert rollouts.source(pin, [MLSERVER], limits) != first
