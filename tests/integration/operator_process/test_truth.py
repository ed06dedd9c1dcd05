"""Ready of a model is what its agents say now, never what was intended or true before."""

from dataclasses import replace

from integration.operator_process import bodies
from integration.operator_process.apis import Body, condition, until
from integration.operator_process.replicas import state
from integration.operator_process.worlds import World
from shoal.modelstates import State

ONE = bodies.wanted(bodies.model("one"))


async def copies(world: World, summary: str) -> Body:
    async def counted() -> Body:
        body = await world.api.get("TrainedModel", "one")
        assert body["status"]["copies"]["summary"] == summary
        return body

    return await until(counted)


async def test_a_silent_agent_makes_it_unknown_and_its_return_true(world: World) -> None:
    await world.operator()
    (replica,) = await world.serve("one")

    await replica.agent.stop()

    await world.until_condition("TrainedModel", "one", "Ready", "Unknown", "AgentUnreachable")
    body = await copies(world, "0/1")
    assert replica.pod in condition(body, "ModelLoaded")["message"]
    await replica.agent.start()
    await world.ready("TrainedModel", "one")
    await copies(world, "1/1")


async def test_a_failure_is_told_in_the_agents_words_and_recovery_clears_it(world: World) -> None:
    await world.operator()
    (replica,) = await world.serve("one")
    message = "s3://models/m: the store answered 404"

    replica.agent.say({"one": state(ONE, State.FAILED, "ModelNotFound", message)})

    body = await world.until_condition("TrainedModel", "one", "Ready", "False", "ModelNotFound")
    assert condition(body, "ModelLoaded")["message"] == message
    failure = body["status"]["lastFailureInfo"]
    assert failure.pop("time")
    assert failure == {"reason": "ModelNotFound", "message": message, "pod": replica.pod}
    assert body["status"]["copies"] == {"total": 1, "loaded": 0, "failed": 1, "summary": "0/1"}
    assert [event["message"] for event in await world.api.told("ModelNotFound")] == [message]
    replica.agent.load([ONE])
    body = await world.ready("TrainedModel", "one")
    assert "lastFailureInfo" not in body["status"]


async def test_a_new_ready_replica_without_the_model_makes_it_false(world: World) -> None:
    await world.operator()
    service = bodies.service(annotations={"serving.kserve.io/autoscalerClass": "none"})
    service["spec"]["predictor"]["minReplicas"] = 1
    await world.serve("one", service=service)
    await world.api.patch("InferenceService", "mms", {"spec": {"predictor": {"minReplicas": 2}}})

    (second,) = await world.run_pods()

    await world.until_condition("TrainedModel", "one", "Ready", "False", "Pending")
    await copies(world, "1/2")
    second.agent.load([ONE])
    await world.ready("TrainedModel", "one")
    await copies(world, "2/2")


async def test_a_changed_model_is_not_ready_until_agents_say_the_new_digest(world: World) -> None:
    await world.operator()
    (replica,) = await world.serve("one")

    new = {"spec": {"model": {"storageUri": "s3://models/new"}}}
    body = await world.api.patch("TrainedModel", "one", new)

    changed = await world.until_condition("TrainedModel", "one", "Ready", "False", "Pending")
    assert changed["status"]["observedGeneration"] == body["metadata"]["generation"] == 2
    assert await world.config() == ["one"]
    replica.agent.load([replace(ONE, storage_uri="s3://models/new")])
    await world.ready("TrainedModel", "one")


async def test_a_refresh_is_not_ready_until_agents_say_so_and_its_end_changes_nothing(
    world: World,
) -> None:
    operator = await world.operator(SHOAL_RELIST_SECONDS="0.4")
    (replica,) = await world.serve("one")
    key = "serving.kserve.io/refresh"

    await world.api.patch("TrainedModel", "one", {"metadata": {"annotations": {key: "now"}}})

    await world.until_condition("TrainedModel", "one", "Ready", "False", "Pending")
    replica.agent.load([replace(ONE, refresh="now")])
    body = await world.ready("TrainedModel", "one")
    assert body["status"]["annotations"] == {key: "now"}
    assert len(await world.api.told("Refreshed")) == 1
    mark = await world.at_rest(operator)
    await world.api.patch("TrainedModel", "one", {"metadata": {"annotations": {key: None}}})
    await world.relisted(operator, mark, times=3)
    assert world.audit.writes(mark) == []
    await world.ready("TrainedModel", "one")


async def test_a_pod_that_goes_is_counted_no_more(world: World) -> None:
    await world.operator()
    (first,) = await world.serve("one")

    await world.api.delete("Pod", first.pod)

    await world.until_condition("TrainedModel", "one", "Ready", "False")
    (second,) = await world.run_pods()
    second.agent.load([ONE])
    await world.ready("TrainedModel", "one")
    await copies(world, "1/1")
