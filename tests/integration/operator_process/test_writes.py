"""A settled cluster costs zero writes, whatever wakes the operator; counted by the API server."""

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import Body
from integration.operator_process.worlds import PASSES, World

RELIST = {"SHOAL_RELIST_SECONDS": "0.4"}
SAME_POD = {"SHOAL_POD_NAME": "operator-0"}  # its container restarts: the lease is still its own
ODD = {"cpu": "1000m", "memory": "1024Mi"}
SERVICES: dict[str, Body] = {
    "plain": bodies.service(),
    "quantities-spelt-oddly": bodies.service(
        container={"resources": {"limits": ODD, "requests": ODD}}
    ),
    "resources-left-out": bodies.service(container={"resources": {}}),
    "rich": bodies.service(
        labels={"team": "a"},
        annotations={"team/contact": "a@example.com"},
        container={
            "ports": [{"containerPort": 8080}, {"containerPort": 9000, "name": "grpc"}],
            "env": [{"name": "EMPTY", "value": ""}, {"name": "SOME", "value": "x"}],
            "livenessProbe": {"httpGet": {"path": "/v2", "port": 8080}},
            "securityContext": {"allowPrivilegeEscalation": False},
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        },
    ),
}
SERVICES["rich"]["spec"]["predictor"] |= {
    "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}}],
    "terminationGracePeriodSeconds": 0,
    "automountServiceAccountToken": False,
    "hostNetwork": False,
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "minReplicas": 1,
    "maxReplicas": 3,
    "scaleTarget": 70,
}


@pytest.mark.weakness("C15")
@pytest.mark.weakness("C8")
@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
async def test_a_settled_service_costs_nothing(world: World, service: Body) -> None:
    program = await world.operator(**RELIST)
    await world.serve("one", "two", service=service)
    mark = await world.at_rest(program)

    # Wakes the service, and changes nothing that is the operator's.
    await world.api.patch("InferenceService", "mms", {"metadata": {"finalizers": []}})
    await world.api.patch("TrainedModel", "one", {"metadata": {"labels": {"mine": "x"}}})
    await world.relisted(program, mark, times=3)

    assert world.audit.writes(mark) == []


@pytest.mark.parametrize("gently", [True, False], ids=["terminated", "killed"])
async def test_a_restart_costs_nothing(world: World, *, gently: bool) -> None:
    program = await world.operator(**RELIST)
    await world.serve("one", "two")
    mark = await world.at_rest(program)
    await (program.terminate() if gently else program.kill())

    restarted = await world.operator(**RELIST, **SAME_POD)
    await world.relisted(restarted, mark, times=4)

    assert await restarted.metric(PASSES) > 0
    assert world.audit.writes(mark) == []


@pytest.mark.weakness("C11")
async def test_what_others_add_costs_nothing(world: World) -> None:
    program = await world.operator(**RELIST)
    await world.serve("one")
    mark = await world.at_rest(program)

    foreign = {"labels": {"mesh/injected": "yes"}, "annotations": {"mesh/at": "noon"}}
    for kind in ("Deployment", "Service"):
        await world.api.patch(kind, "mms-predictor", {"metadata": foreign})
    await world.relisted(program, mark, times=3)

    assert world.audit.writes(mark) == []
    body = await world.api.get("Deployment", "mms-predictor")
    assert body["metadata"]["labels"]["mesh/injected"] == "yes"
