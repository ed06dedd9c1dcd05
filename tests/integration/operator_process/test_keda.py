"""A service that KEDA is to scale. KEDA's definition is a stand-in that takes any spec."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import Api, condition, until
from integration.operator_process.worlds import World

KEDA = {"serving.kserve.io/autoscalerClass": "keda"}
HPA = {"serving.kserve.io/autoscalerClass": None}
SAME_POD = {"SHOAL_POD_NAME": "operator-0"}
DEFINITION = "scaledobjects.keda.sh"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


async def install(api: Api) -> None:
    """Make the stand-in, and wait until it is served."""
    await api.create(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": DEFINITION},
            "spec": {
                "group": "keda.sh",
                "scope": "Namespaced",
                "names": {"kind": "ScaledObject", "plural": "scaledobjects"},
                "versions": [
                    {
                        "name": "v1alpha1",
                        "served": True,
                        "storage": True,
                        "subresources": {"status": {}},
                        "schema": {
                            "openAPIV3Schema": {
                                "type": "object",
                                "properties": {"spec": ANYTHING, "status": ANYTHING},
                            }
                        },
                    }
                ],
            },
        }
    )

    async def served() -> bool:
        try:
            status, _ = await api.request("GET", api.path("ScaledObject"))
        except ValueError:  # of an unknown group it says so in plain text
            return False
        return status == 200 and await listed()

    async def listed() -> bool:
        """Tell whether it is found as the operator finds it, by asking what there is."""
        _, found = await api.request("GET", "/apis/keda.sh/v1alpha1")
        return any(row["name"] == "scaledobjects" for row in found.get("resources", []))

    await until(served)


@pytest.fixture
async def keda(world: World) -> AsyncIterator[None]:
    """Take the stand-in away after the test, when no operator watches it any more."""
    yield
    for program in world.operators:
        if program.process.returncode is None:
            await program.kill()
    if await world.api.find("CustomResourceDefinition", DEFINITION):
        await world.api.delete("CustomResourceDefinition", DEFINITION)

        async def gone() -> bool:
            return await world.api.find("CustomResourceDefinition", DEFINITION) is None

        await until(gone)


def service() -> dict[str, Any]:
    made = bodies.service(annotations=KEDA)
    made["spec"]["predictor"] |= {"minReplicas": 1, "maxReplicas": 4, "scaleTarget": 60}
    return made


@pytest.mark.usefixtures("keda")
async def test_keda_that_comes_later_is_found_and_told(world: World) -> None:
    program = await world.operator()
    await world.serve("one", service=service())
    await world.until_condition(
        "InferenceService", "mms", "AutoscalerReady", "False", "KedaNotInstalled"
    )
    assert await world.api.find("HorizontalPodAutoscaler", "mms-predictor") is None

    await install(world.api)
    assert await program.process.wait() == 1  # the kubelet starts it again
    assert "scaledobjects of keda.sh are served now" in program.said()
    await world.operator(**SAME_POD)

    made = await until(lambda: world.api.find("ScaledObject", "mms-predictor"))
    assert made["spec"]["maxReplicaCount"] == 4
    assert made["spec"]["triggers"][0]["metadata"] == {"value": "60"}

    async def silent() -> bool:
        body = await world.api.get("InferenceService", "mms")
        return condition(body, "AutoscalerReady")["status"] == "Unknown"

    await until(silent)


@pytest.mark.usefixtures("keda")
async def test_a_scaled_object_is_kept_told_of_and_replaced(world: World) -> None:
    await install(world.api)
    program = await world.operator(SHOAL_RELIST_SECONDS="0.4")
    await world.serve("one", service=service())
    await until(lambda: world.api.find("ScaledObject", "mms-predictor"))
    mark = await world.at_rest(program)

    # What KEDA itself writes costs nothing.
    meta = {"labels": {"scaledobject.keda.sh/name": "mms-predictor"}}
    await world.api.patch("ScaledObject", "mms-predictor", {"metadata": meta})
    await world.relisted(program, mark, times=3)
    assert world.audit.writes(mark) == []

    row = {"type": "Ready", "status": "False", "message": "no such server"}
    status = {"status": {"conditions": [row]}}
    await world.api.patch("ScaledObject", "mms-predictor", status, "status")
    body = await world.until_condition(
        "InferenceService", "mms", "AutoscalerReady", "False", "AutoscalerNotReady"
    )
    assert condition(body, "AutoscalerReady")["message"] == "KEDA says: no such server"
    assert condition(body, "Ready")["status"] == "True"

    await world.api.delete("ScaledObject", "mms-predictor")
    await until(lambda: world.api.find("ScaledObject", "mms-predictor"))
    await world.api.patch("InferenceService", "mms", {"metadata": {"annotations": HPA}})

    async def replaced() -> bool:
        assert await world.api.find("HorizontalPodAutoscaler", "mms-predictor") is not None
        return await world.api.find("ScaledObject", "mms-predictor") is None

    await until(replaced)
