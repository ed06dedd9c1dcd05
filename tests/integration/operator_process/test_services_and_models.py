"""The walk-through without a node: what a user applies, and what is then true."""

import re

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import Body, until
from integration.operator_process.worlds import World

OWN = {"serving.kserve.io/inferenceservice": "mms"}
COMPONENT = {**OWN, "component": "predictor", "app": "isvc.mms-predictor"}
CHILDREN: dict[tuple[str, str], dict[str, str]] = {
    ("ConfigMap", "modelconfig-mms-0"): OWN,
    ("Role", "mms-agent"): OWN,
    ("RoleBinding", "mms-agent"): OWN,
    ("Service", "mms-predictor"): COMPONENT,
    ("Service", "mms"): OWN,
    ("Deployment", "mms-predictor"): COMPONENT,
    ("HorizontalPodAutoscaler", "mms-predictor"): COMPONENT,
    ("Ingress", "mms"): OWN,
}


async def test_a_service_gets_every_child(world: World) -> None:
    await world.operator()
    service = await world.api.create(bodies.service())
    await world.api.create(bodies.model("one"))

    async def all_there() -> dict[tuple[str, str], Body]:
        found = await world.children()
        assert found.keys() == CHILDREN.keys()
        return found

    made = await until(all_there)

    owner = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": "mms",
        "uid": service["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    for place, labels in CHILDREN.items():
        assert made[place]["metadata"]["ownerReferences"] == [owner], place
        assert made[place]["metadata"]["labels"] == labels, place
    selector = {"app": "isvc.mms-predictor"}
    deployment = made["Deployment", "mms-predictor"]["spec"]
    assert deployment["selector"] == {"matchLabels": selector}
    assert [box["name"] for box in deployment["template"]["spec"]["containers"]] == [
        "kserve-container",
        "agent",
    ]
    for name in ("mms", "mms-predictor"):
        spec = made["Service", name]["spec"]
        assert spec["selector"] == selector
        assert [(row["port"], row["targetPort"]) for row in spec["ports"]] == [(80, 8080)]
    assert [row["host"] for row in made["Ingress", "mms"]["spec"]["rules"]] == [
        f"mms.{world.namespace}.example.com",
        f"mms-predictor.{world.namespace}.example.com",
    ]


@pytest.mark.parametrize("models_first", [True, False], ids=["models-first", "service-first"])
async def test_both_orders_end_equal(world: World, *, models_first: bool) -> None:
    await world.operator()
    models = [bodies.model("model1"), bodies.model("model2", uri="s3://models/two")]
    if models_first:
        await world.api.create_all(*models)
        for name in ("model1", "model2"):
            missing = "InferenceServiceNotFound"
            await world.until_condition("TrainedModel", name, "Ready", "False", missing)
        await world.api.create(bodies.service())
    else:
        await world.api.create(bodies.service())
        await world.run_pods(host=False)
        await world.ready("InferenceService", "mms")
        await world.api.create_all(*models)

    async def listed() -> bool:
        return await world.config() == ["model1", "model2"]

    await until(listed)
    (replica,) = await world.run_pods()
    config = await world.api.get("ConfigMap", "modelconfig-mms-0")
    assert config["data"]["models.json"] == (
        '[{"modelName":"model1","modelSpec":{"storageUri":"s3://models/m","framework":"custom",'
        '"memory":"1Mi"}},{"modelName":"model2","modelSpec":{"storageUri":"s3://models/two",'
        '"framework":"custom","memory":"1Mi"}}]'
    )
    replica.agent.load(map(bodies.wanted, models))
    service = await world.ready("InferenceService", "mms")
    for name in ("model1", "model2"):
        await world.ready("TrainedModel", name)
    domain = f"mms.{world.namespace}.example.com"

    assert await columns(world, "trainedmodel") == [
        ["NAME", "URL", "READY", "LOADED", "AGE"],
        ["model1", f"http://{domain}/v2/models/model1/infer", "True", "1/1"],
        ["model2", f"http://{domain}/v2/models/model2/infer", "True", "1/1"],
    ]
    shown = await columns(world, "inferenceservice")
    assert shown[0][:4] == ["NAME", "URL", "READY", "MODELS"]
    assert shown[1] == ["mms", f"http://{domain}", "True", "2/2"]
    wide = await columns(world, "tm", "-o", "wide")
    assert wide[0] == ["NAME", "URL", "READY", "LOADED", "REASON", "AGE"]
    assert service["status"]["observedGeneration"] == service["metadata"]["generation"]


async def columns(world: World, *what: str) -> list[list[str]]:
    """Read a table as a user sees it; ages differ from run to run."""
    lines = (await world.see("get", *what)).splitlines()
    ages = re.compile(r"\s+\d+\w+$")
    return [ages.sub("", line).split() for line in lines]


async def test_an_operator_of_one_namespace_serves_it(world: World) -> None:
    mark = world.audit.mark()
    await world.operator(SHOAL_WATCH_NAMESPACES=world.namespace)

    await world.serve("one")

    reads = [row for row in world.audit.requests(mark) if row.verb in ("list", "watch")]
    wide = {row.resource for row in reads if row.namespace != world.namespace}
    cluster_wide = {"clusterservingruntimes", "clusterstoragecontainers"}
    assert wide == cluster_wide, "what has no namespace, and nothing else"
    assert {row.namespace for row in reads} == {world.namespace, ""}
