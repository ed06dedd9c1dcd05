"""A service with a model of its own: what is made of it, and what its pods' state says of it."""

import asyncio

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import Body, condition, until
from integration.operator_process.worlds import World

_OLDER_SECONDS = 1.1  # the API server tells the time of creation in whole ones
SENTENCE = "Secret a/b: http://minio:9000 refused access key x for s3://models/iris (403)"
STARTED = {"running": {"startedAt": "2026-11-21T12:00:00Z"}}
ENDED = {
    "terminated": {
        "reason": "Error",
        "exitCode": 1,
        "message": SENTENCE,
        "startedAt": "2026-11-21T12:00:00Z",
        "finishedAt": "2026-11-21T12:00:01Z",
    }
}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}


def service(uri: str = "s3://models/iris") -> Body:
    env = [{"name": "STORAGE_URI", "value": uri}]
    return bodies.service("iris", container={"env": env})


async def pod(world: World, count: int = 1) -> str:
    """Wait for the service's pods; name the newest."""

    async def made() -> list[Body]:
        pods = await world.api.all("Pod", "serving.kserve.io/inferenceservice=iris")
        return pods if len(pods) == count else []

    pods = sorted(await until(made), key=lambda body: str(body["metadata"]["creationTimestamp"]))
    name: str = pods[-1]["metadata"]["name"]
    return name


async def initialising(world: World, name: str, state: Body, last: Body | None = None) -> None:
    """Say what the kubelet would of the init container."""
    row = {
        "name": "storage-initializer",
        "image": "a",
        "imageID": "a",
        "ready": False,
        "restartCount": int(last is not None),
        "state": state,
        "lastState": last or {},
    }
    status = {"phase": "Pending", "initContainerStatuses": [row]}
    await world.api.patch("Pod", name, {"status": status}, "status")


async def model_status(world: World, transition: str, target: str) -> Body:
    """Wait for a state; return modelStatus."""

    async def seen() -> Body:
        status = (await world.api.get("InferenceService", "iris")).get("status") or {}
        found: Body = status.get("modelStatus") or {}
        is_it = found.get("transitionStatus") == transition
        return found if is_it and found["states"]["targetModelState"] == target else {}

    return await until(seen)


async def test_its_pods_get_an_init_container_and_the_right_to_read_secrets(world: World) -> None:
    await world.operator()
    await world.api.create(bodies.runtime("mine"))
    uri = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/iris"}
    await world.api.create(bodies.framework("iris", model=uri))

    body = await world.api.get("Pod", await pod(world))

    (init,) = body["spec"]["initContainers"]
    assert init["args"] == ["fetch", "s3://models/iris", "/mnt/models"]
    mounts = {row["mountPath"]: row for row in body["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["/mnt/models"]["readOnly"] is True
    assert body["spec"]["automountServiceAccountToken"] is False
    (rule,) = (await world.api.get("Role", "iris-agent"))["rules"]
    assert (rule["resources"], rule["resourceNames"]) == (["serviceaccounts"], ["default"])
    assert await world.config("iris") == []


async def test_a_model_on_its_way_then_failed_then_there(world: World) -> None:
    program = await world.operator()
    await world.api.create(service())
    name = await pod(world)

    await initialising(world, name, STARTED)
    await model_status(world, "InProgress", "Loading")

    await initialising(world, name, BACK_OFF, ENDED)
    failed = await model_status(world, "BlockedByFailedLoad", "FailedToLoad")
    info = {key: failed["lastFailureInfo"][key] for key in ("reason", "message", "exitCode")}
    assert info == {"reason": "ModelLoadFailed", "message": SENTENCE, "exitCode": 1}
    body = await world.until_condition(
        "InferenceService", "iris", "Ready", "False", "ModelLoadFailed"
    )
    assert condition(body, "Ready")["message"] == SENTENCE

    await world.place(name, world.free_address())
    row = {"name": "storage-initializer", "image": "a", "imageID": "a", "restartCount": 1}
    row |= {"ready": True, "state": {"terminated": {**ENDED["terminated"], "exitCode": 0}}}
    await world.api.patch("Pod", name, {"status": {"initContainerStatuses": [row]}}, "status")
    await world.ready("InferenceService", "iris")
    loaded = await model_status(world, "UpToDate", "Loaded")
    assert "lastFailureInfo" not in loaded
    await world.passes(program, 0)


async def test_an_update_that_fails_is_told_while_the_old_model_serves(world: World) -> None:
    await world.operator()
    await world.api.create(service())
    await world.run_pods("iris", host=False)
    await world.ready("InferenceService", "iris")
    await asyncio.sleep(_OLDER_SECONDS)

    predictor = service("s3://models/none")["spec"]["predictor"]
    await world.api.patch("InferenceService", "iris", {"spec": {"predictor": predictor}})
    await initialising(world, await pod(world, 2), BACK_OFF, ENDED)

    failed = await model_status(world, "BlockedByFailedLoad", "FailedToLoad")
    assert failed["states"]["activeModelState"] == "Loaded"
    await world.until_condition("InferenceService", "iris", "Ready", "False", "ModelLoadFailed")

    predictor = service()["spec"]["predictor"]
    await world.api.patch("InferenceService", "iris", {"spec": {"predictor": predictor}})
    await world.ready("InferenceService", "iris")


@pytest.mark.weakness("C34")
@pytest.mark.parametrize("uri", ["hdfs://host/model", "/mnt/elsewhere"])
async def test_what_is_not_fetched_yet_is_said_where_the_user_looks(
    world: World, uri: str
) -> None:
    await world.operator()
    await world.api.create(service(uri))
    body = await world.until_condition(
        "InferenceService", "iris", "Ready", "False", "NotSupported"
    )
    path = "spec.predictor.containers[0].env[STORAGE_URI]: "
    assert condition(body, "Ready")["message"].startswith(path)


async def test_a_model_in_an_image_runs_beside_its_server(world: World) -> None:
    program = await world.operator()
    await world.api.create(service("oci://registry.example.com/iris:1"))
    name = await pod(world)

    body = await world.api.get("Pod", name)
    (car,) = body["spec"]["initContainers"]
    assert (car["image"], car["restartPolicy"]) == ("registry.example.com/iris:1", "Always")
    assert car["imagePullPolicy"] == "IfNotPresent"
    assert body["spec"]["shareProcessNamespace"] is True
    await world.place(name, world.free_address())
    await world.ready("InferenceService", "iris")
    await world.passes(program, 0)


async def test_an_image_that_cannot_be_a_volume_here_is_told_and_makes_no_pod(
    world: World,
) -> None:
    await world.operator()
    await world.api.create(service("oci+native://registry.example.com/iris:1"))
    body = await world.until_condition(
        "InferenceService", "iris", "Ready", "False", "NotSupported"
    )
    assert "ImageVolume" in condition(body, "Ready")["message"]
    assert await world.api.find("Deployment", "iris-predictor") is None


async def test_a_host_that_gets_a_model_of_its_own_has_no_agent_any_more(world: World) -> None:
    await world.operator()
    host = bodies.service("iris")
    await world.api.create_all(host, bodies.model("one", parent="iris"))
    await world.run_pods("iris")

    predictor = service()["spec"]["predictor"]
    await world.api.patch("InferenceService", "iris", {"spec": {"predictor": predictor}})

    async def boxes() -> list[str]:
        body = await world.api.get("Deployment", "iris-predictor")
        pod = body["spec"]["template"]["spec"]
        found = [*(pod.get("initContainers") or []), *pod["containers"]]
        names = [box["name"] for box in found]
        return names if "agent" not in names else []

    assert await until(boxes) == ["storage-initializer", "kserve-container"]
    await world.until_condition(
        "TrainedModel", "one", "IsMMSPredictor", "False", "IsNotMMSPredictor"
    )
