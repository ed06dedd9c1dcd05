"""Children are as the spec says: what others break is mended, what is others' is left alone."""

import json
from typing import Any

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import CHILDREN, Body, condition, until
from integration.operator_process.worlds import World

AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
LOCAL = {"networking.kserve.io/visibility": "cluster-local"}
EDITS: dict[str, tuple[str, str, Any]] = {
    "image": (
        "Deployment",
        "mms-predictor",
        [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "other"}],
    ),
    "selector": (
        "Service",
        "mms",
        [{"op": "replace", "path": "/spec/selector", "value": {"app": "other"}}],
    ),
    "models": (
        "ConfigMap",
        "modelconfig-mms-0",
        [{"op": "replace", "path": "/data/models.json", "value": "[]"}],
    ),
    "rights": ("Role", "mms-agent", [{"op": "replace", "path": "/rules", "value": []}]),
    "label": (
        "Ingress",
        "mms",
        [{"op": "remove", "path": "/metadata/labels/serving.kserve.io~1inferenceservice"}],
    ),
}


def settled(body: Body) -> Body:
    """Leave out what a mended object may have otherwise than before."""
    meta = {key: body["metadata"].get(key) for key in ("labels", "ownerReferences")}
    rest = {key: body.get(key) for key in ("spec", "data", "rules", "roleRef", "subjects")}
    if isinstance(rest["spec"], dict):
        for given in ("clusterIP", "clusterIPs"):
            rest["spec"].pop(given, None)
    return {"metadata": meta, **rest}


@pytest.mark.weakness("C8")
@pytest.mark.weakness("M14")
async def test_a_deleted_child_is_made_anew(world: World) -> None:
    await world.operator()
    await world.serve("one")
    before = await world.children()

    for kind, name in before:
        await world.api.delete(kind, name)

    async def restored() -> bool:
        now = await world.children()
        for place, body in before.items():
            assert place in now, place
            assert now[place]["metadata"]["uid"] != body["metadata"]["uid"]
            assert settled(now[place]) == settled(body)
        return True

    await until(restored)


@pytest.mark.weakness("C11")
@pytest.mark.parametrize(("kind", "name", "edit"), EDITS.values(), ids=EDITS)
async def test_an_edit_by_hand_is_undone(world: World, kind: str, name: str, edit: Any) -> None:
    await world.operator()
    await world.serve("one")
    before = settled(await world.api.get(kind, name))

    path = world.api.path(kind, name)
    status, answer = await world.api.request("PATCH", path, edit, "application/json-patch+json")

    assert status == 200, answer
    assert settled(answer) != before

    async def undone() -> bool:
        assert settled(await world.api.get(kind, name)) == before
        return True

    await until(undone)
    await world.ready("TrainedModel", "one")


@pytest.mark.weakness("C27")
async def test_a_deployment_of_somebody_else_is_left_alone(world: World) -> None:
    box = {"name": "box", "image": "x"}
    labels = {"app": "theirs"}
    theirs = await world.api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "mms-predictor"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [box]}},
            },
        }
    )
    program = await world.operator()

    await world.api.create(bodies.service())

    body = await world.until_condition(
        "InferenceService", "mms", "PredictorReady", "False", "NotOwned"
    )
    assert "Deployment mms-predictor" in condition(body, "Ready")["message"]
    await world.passes(program, 0)
    left = await world.api.get("Deployment", "mms-predictor")
    assert left["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert left["spec"] == theirs["spec"]
    assert len(await world.api.told("NotOwned")) == 1
    await world.api.delete("Deployment", "mms-predictor")

    async def ours() -> bool:
        return ("Deployment", "mms-predictor") in await world.children()

    await until(ours, seconds=40)  # nothing told that the name was free
    await world.run_pods(host=False)
    await world.ready("InferenceService", "mms")


@pytest.mark.weakness("C27")
async def test_a_service_of_somebody_else_is_left_out_and_told(world: World) -> None:
    spec = {"ports": [{"port": 1234}], "selector": {"app": "theirs"}}
    meta = {"name": "mms"}
    await world.api.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    program = await world.operator(SHOAL_RELIST_SECONDS="0.4")

    await world.serve("one")

    await world.until_condition(
        "InferenceService", "mms", "EntryServiceReady", "False", "NameTaken"
    )
    mark = await world.at_rest(program)
    assert (await world.api.get("Service", "mms"))["spec"]["selector"] == {"app": "theirs"}
    assert len(await world.api.told("NameTaken")) == 1
    assert world.audit.writes(mark) == []


async def test_a_stopped_service_keeps_its_models_and_comes_back(world: World) -> None:
    await world.operator()
    await world.serve("one")

    stop = "serving.kserve.io/stop"
    await world.api.patch("InferenceService", "mms", {"metadata": {"annotations": {stop: "true"}}})

    async def stopped() -> bool:
        return set(await world.children()) == {("ConfigMap", "modelconfig-mms-0")}

    await until(stopped)
    await world.until_condition("InferenceService", "mms", "Stopped", "True")
    await world.until_condition("InferenceService", "mms", "Ready", "False", "Stopped")
    await world.until_condition("TrainedModel", "one", "Ready", "False")
    assert await world.config() == ["one"]
    await world.api.patch("InferenceService", "mms", {"metadata": {"annotations": {stop: None}}})
    (replica,) = await world.run_pods()
    replica.agent.load([bodies.wanted(bodies.model("one"))])
    await world.ready("TrainedModel", "one")
    await world.ready("InferenceService", "mms")


@pytest.mark.weakness("C8")
async def test_an_autoscaler_follows_the_spec_and_its_class(world: World) -> None:
    await world.operator()
    service = bodies.service()
    service["spec"]["predictor"] |= {"minReplicas": 2, "maxReplicas": 5, "scaleTarget": 60}
    await world.api.create(service)

    made = await until(lambda: world.api.find("HorizontalPodAutoscaler", "mms-predictor"))

    assert (made["spec"]["minReplicas"], made["spec"]["maxReplicas"]) == (2, 5)
    assert made["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 60
    meta = {"annotations": {AUTOSCALER_CLASS: "none"}}
    change = {"metadata": meta, "spec": {"predictor": {"minReplicas": 3}}}
    await world.api.patch("InferenceService", "mms", change)

    async def replaced() -> bool:
        assert await world.api.find("HorizontalPodAutoscaler", "mms-predictor") is None
        deployment = await world.api.get("Deployment", "mms-predictor")
        assert deployment["spec"]["replicas"] == 3
        return True

    await until(replaced)


async def test_services_lose_their_address_and_get_one_again(world: World) -> None:
    program = await world.operator(SHOAL_RELIST_SECONDS="0.4")
    await world.serve("one")
    for is_headless in (True, False):
        data = {"service": json.dumps({"serviceClusterIPNone": is_headless})}
        if is_headless:
            await world.api.create(bodies.config_map("inferenceservice-config", data))
        else:
            await world.api.patch("ConfigMap", "inferenceservice-config", {"data": data})

        async def follows(is_headless: bool = is_headless) -> bool:
            found = await world.api.find("Service", "mms-predictor")
            service = await world.api.get("InferenceService", "mms")
            assert service["status"]["address"]["url"].endswith(":8080") is is_headless
            return found is not None and (found["spec"]["clusterIP"] == "None") is is_headless

        await until(follows)
        mark = await world.at_rest(program)
        await world.relisted(program, mark)
        assert world.audit.writes(mark) == []


@pytest.mark.weakness("C5")
async def test_a_service_made_cluster_local_loses_its_ingress(world: World) -> None:
    await world.operator()
    await world.api.create(bodies.service())
    await until(lambda: world.api.find("Ingress", "mms"))

    await world.api.patch("InferenceService", "mms", {"metadata": {"labels": LOCAL}})

    async def gone() -> bool:
        return await world.api.find("Ingress", "mms") is None

    await until(gone)
    await world.until_condition("InferenceService", "mms", "IngressReady", "True")


async def test_a_spec_that_is_not_served_yet_makes_nothing(world: World) -> None:
    program = await world.operator()
    service = bodies.service()
    service["spec"]["predictor"] = {"sklearn": {"storageUri": "hdfs://models/iris"}}

    await world.api.create(service)

    body = await world.until_condition("InferenceService", "mms", "Ready", "False", "NotSupported")
    assert "spec.predictor.sklearn" in condition(body, "PredictorReady")["message"]
    await world.passes(program, 0)
    assert await world.children() == {}
    for kind in ("Pod", *CHILDREN):
        assert [one["metadata"]["name"] for one in await world.api.all(kind)] in (
            [],
            ["kube-root-ca.crt"],
        )


@pytest.mark.weakness("C21")
async def test_the_rights_follow_the_accounts_secrets(world: World) -> None:
    await world.operator()
    await world.serve("one")

    async def readable() -> list[str]:
        rules = (await world.api.get("Role", "mms-agent"))["rules"]
        return [
            name
            for rule in rules
            if rule["resources"] == ["secrets"]
            for name in rule["resourceNames"]
        ]

    assert await readable() == []
    for secrets in (["a", "b"], ["b"]):
        rows = [{"name": name} for name in reversed(secrets)]
        await world.api.patch("ServiceAccount", "default", {"secrets": rows})

        async def follows(wanted: list[str] = secrets) -> bool:
            return await readable() == wanted

        await until(follows)


async def test_a_pod_that_the_api_server_refuses_is_told_and_heals(world: World) -> None:
    await world.operator()
    resources = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}

    await world.api.create(bodies.service(container={"resources": resources}))

    body = await world.until_condition(
        "InferenceService", "mms", "PredictorReady", "False", "ReconcileFailed"
    )
    message = condition(body, "PredictorReady")["message"]
    assert "must be less than or equal to cpu limit" in message
    mended = {"containers": [bodies.server()]}
    await world.api.patch("InferenceService", "mms", {"spec": {"predictor": mended}})
    await world.run_pods(host=False)
    await world.ready("InferenceService", "mms")
