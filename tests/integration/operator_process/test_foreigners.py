"""What others own in the operator's objects stays theirs and costs no write; their objects too."""

import asyncio
import contextlib
import itertools
import os

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import Body, condition, until
from integration.operator_process.worlds import World

RELIST = {"SHOAL_RELIST_SECONDS": "0.4"}
SECONDS = int(os.environ.get("SHOAL_ANNOTATOR_SECONDS") or 30)
NAME = "mms-predictor"
ANNOTATED = ("Deployment", "Service", "HorizontalPodAutoscaler", "Pod", "Ingress", "Role")
STRATEGIC = "application/strategic-merge-patch+json"
MESH = {
    "metadata": {"annotations": {"mesh/injected": "yes"}, "labels": {"mesh/part": "yes"}},
    "spec": {
        "containers": [{"name": "mesh-proxy", "image": "mesh:1"}],
        "volumes": [{"name": "mesh-certs", "emptyDir": {}}],
    },
}


async def edit(world: World, kind: str, name: str, body: Body, subresource: str = "") -> None:
    """Change a part of an object as another field manager does."""
    path = world.api.path(kind, name, subresource) + "?fieldManager=somebody"
    status, answer = await world.api.request("PATCH", path, body, STRATEGIC)
    assert status == 200, answer


async def names(world: World, kind: str) -> list[str]:
    return [
        body["metadata"]["name"]
        for body in await world.api.all(kind, "serving.kserve.io/inferenceservice=mms")
    ]


async def rolled_out(world: World, replicas: int) -> None:
    """Run pods until the Deployment is through: a rollout that hangs is news after ten minutes."""
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    while True:
        status = (await world.api.get("Deployment", NAME)).get("status") or {}
        if all(status.get(key) == replicas for key in counts):
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(world.run_pods(count=1), 2)


@pytest.mark.timeout(SECONDS + 200)
@pytest.mark.weakness("C11")
async def test_an_annotator_a_mesh_and_an_autoscaler_cost_no_write(world: World) -> None:
    program = await world.operator(**RELIST)
    service = bodies.service()
    service["spec"]["predictor"] |= {"minReplicas": 1, "maxReplicas": 5}
    await world.serve("one", service=service)
    await edit(world, "Deployment", NAME, {"spec": {"replicas": 3}}, "scale")
    await edit(world, "Deployment", NAME, {"spec": {"template": MESH}})
    await rolled_out(world, 3)
    await world.ready("InferenceService", "mms")
    mark = await world.at_rest(program)

    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    for beat in itertools.count():
        note = {"metadata": {"annotations": {"annotator/beat": str(beat)}}}
        for kind in ANNOTATED:
            for name in await names(world, kind):
                await edit(world, kind, name, note)
        if loop.time() > end:
            break
        await asyncio.sleep(1)
    await world.relisted(program, mark, times=2)

    assert world.audit.writes(mark) == []
    body = await world.api.get("Deployment", NAME)
    assert body["spec"]["replicas"] == 3
    assert body["metadata"]["annotations"]["annotator/beat"] == str(beat)
    template = body["spec"]["template"]
    assert "mesh-proxy" in [box["name"] for box in template["spec"]["containers"]]
    assert template["metadata"]["labels"]["mesh/part"] == "yes"


async def test_what_is_others_stays_when_the_operator_changes_its_own(world: World) -> None:
    await world.operator()
    service = bodies.service()
    service["spec"]["predictor"]["maxReplicas"] = 5  # or its autoscaler takes one away
    await world.serve("one", service=service)
    await edit(world, "Deployment", NAME, {"spec": {"replicas": 2}}, "scale")
    await edit(world, "Deployment", NAME, {"spec": {"template": MESH}})
    await edit(world, "Service", NAME, {"metadata": {"annotations": {"cloud/balancer": "a"}}})

    change = {"spec": {"predictor": {"labels": {"tier": "gold"}, "nodeSelector": {"a": "b"}}}}
    await world.api.patch("InferenceService", "mms", change)

    async def changed() -> bool:
        deployment = await world.api.get("Deployment", NAME)
        found = await world.api.get("Service", NAME)
        assert found["metadata"]["labels"].get("tier") == "gold"
        assert found["metadata"]["annotations"]["cloud/balancer"] == "a"
        return bool(deployment["spec"]["template"]["spec"].get("nodeSelector") == {"a": "b"})

    await until(changed)
    body = await world.api.get("Deployment", NAME)
    assert body["spec"]["replicas"] == 2
    assert "mesh-proxy" in [box["name"] for box in body["spec"]["template"]["spec"]["containers"]]
    assert body["spec"]["template"]["metadata"]["annotations"]["mesh/injected"] == "yes"


BACKEND = {"service": {"name": "theirs", "port": {"number": 80}}}
THEIRS: list[Body] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"ports": [{"port": 1234}], "selector": {"app": "theirs"}},
    },
    {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"},
            "maxReplicas": 7,
        },
    },
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "mms"},
        "spec": {"defaultBackend": BACKEND},
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "mms-agent"},
        "rules": [],
    },
]


@pytest.mark.weakness("C27")
@pytest.mark.parametrize("theirs", THEIRS, ids=lambda body: body["kind"])
async def test_an_object_of_somebody_else_is_told_of_and_never_taken(
    world: World, theirs: Body
) -> None:
    kind, name = theirs["kind"], theirs["metadata"]["name"]
    before = await world.api.create(theirs)
    program = await world.operator(**RELIST)

    await world.api.create_all(bodies.service(), bodies.model("one"))

    body = await world.until_condition(
        "InferenceService", "mms", "PredictorReady", "False", "NotOwned"
    )
    message = condition(body, "Ready")["message"]
    assert message.startswith(f"{kind} {name} exists and is not this InferenceService's; ")
    mark = await world.at_rest(program)
    await world.relisted(program, mark, times=2)
    assert world.audit.writes(mark) == []
    left = await world.api.get(kind, name)
    assert left["metadata"]["uid"] == before["metadata"]["uid"]
    assert left.get("spec") == before.get("spec")
    assert "shoal" not in [entry["manager"] for entry in left["metadata"]["managedFields"]]

    await world.api.delete("InferenceService", "mms")

    async def gone() -> bool:
        return await world.api.find("TrainedModel", "one") is None

    await until(gone)
    await world.passes(program, 0)
    assert (await world.api.get(kind, name))["metadata"]["uid"] == before["metadata"]["uid"]
