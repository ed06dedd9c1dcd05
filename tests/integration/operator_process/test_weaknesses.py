"""What upstream's controller does to services and models (docs/weaknesses.md), and ours not."""

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import condition, until
from integration.operator_process.worlds import World


@pytest.mark.weakness("M12")
async def test_a_model_that_moves_leaves_nothing_behind_and_outlives_its_first_service(
    world: World,
) -> None:
    await world.operator()
    await world.serve("one", "stays")
    second = bodies.service("other")
    (replica,) = await world.serve("third", service=second)

    await world.api.patch("TrainedModel", "one", {"spec": {"inferenceService": "other"}})

    async def moved() -> bool:
        assert await world.config("mms") == ["stays"]
        return await world.config("other") == ["one", "third"]

    await until(moved)
    await world.until_condition("TrainedModel", "one", "Ready", "False")
    replica.agent.load(bodies.wanted(bodies.model(name)) for name in ("one", "third"))
    body = await world.ready("TrainedModel", "one")
    assert "other" in body["status"]["url"]

    await world.api.delete("InferenceService", "mms")

    async def gone() -> bool:
        return await world.api.find("TrainedModel", "stays") is None

    await until(gone)
    assert await world.config("other") == ["one", "third"]
    await world.ready("TrainedModel", "one")


@pytest.mark.weakness("C24")
async def test_an_account_that_is_missing_is_told_and_heals(world: World) -> None:
    await world.operator()
    service = bodies.service()
    service["spec"]["predictor"]["serviceAccountName"] = "later"
    await world.api.create(service)

    body = await world.until_condition(
        "InferenceService", "mms", "PredictorReady", "False", "FailedCreate"
    )
    why = 'serviceaccount "later" not found'
    assert why in condition(body, "Ready")["message"]
    assert why in body["status"]["modelStatus"]["lastFailureInfo"]["message"]

    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "later"}}
    await world.api.create(account)
    await world.run_pods(host=False)
    body = await world.ready("InferenceService", "mms")
    assert "lastFailureInfo" not in body["status"]["modelStatus"]


@pytest.mark.weakness("C22")
async def test_labels_and_annotations_on_a_service_restart_no_pod(world: World) -> None:
    await world.operator()
    await world.serve("one")
    before = await world.api.get("Deployment", "mms-predictor")

    meta = {"labels": {"team": "a"}, "annotations": {"at": "noon"}}
    await world.api.patch("InferenceService", "mms", {"metadata": meta})

    body = await world.until_condition(
        "InferenceService", "mms", "PodsCurrent", "False", "Outdated"
    )
    assert "before at, team of the" in condition(body, "PodsCurrent")["message"]
    assert condition(body, "Ready")["status"] == "True"
    for kind in ("Deployment", "Service", "HorizontalPodAutoscaler"):
        found = await world.api.get(kind, "mms-predictor")
        assert found["metadata"]["labels"]["team"] == "a"
    after = await world.api.get("Deployment", "mms-predictor")
    assert after["spec"] == before["spec"]

    labels = {"spec": {"predictor": {"labels": {"tier": "gold"}}}}
    await world.api.patch("InferenceService", "mms", labels)

    async def made_anew() -> bool:
        now = await world.api.get("Deployment", "mms-predictor")
        meta = now["spec"]["template"]["metadata"]
        return meta["labels"].items() >= {"team": "a", "tier": "gold"}.items()

    await until(made_anew)
