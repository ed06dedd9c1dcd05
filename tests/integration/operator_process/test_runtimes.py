"""Runtimes that come, change and go: which services hear of it, and what becomes of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import Body, condition, until
from integration.operator_process.worlds import PASSES, World
from support import manifests

CHARTS = Path(__file__).parents[2] / "golden" / "runtimes.yaml"
RELIST = {"SHOAL_RELIST_SECONDS": "0.4"}
SAME_POD = {"SHOAL_POD_NAME": "operator-0"}
NEVER = {"SHOAL_RELIST_SECONDS": "3600"}  # what is heard is heard by the watch
LONG = 1.0  # many times what a watch and a pass take
NAMED = {"modelFormat": {"name": "sklearn"}, "runtime": "mine"}
MODEL = bodies.model("one")


async def image(world: World, name: str = "mms") -> str:
    body = await world.api.get("Deployment", f"{name}-predictor")
    found: str = body["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


async def serve(world: World, service: Body) -> None:
    """Make a service on a runtime, with one model that is loaded."""
    await world.api.create_all(service, MODEL)
    (replica,) = await world.run_pods()
    replica.agent.load([bodies.wanted(MODEL)])
    await world.ready("TrainedModel", "one")
    await world.ready("InferenceService", "mms")


@pytest.mark.weakness("C21")
@pytest.mark.parametrize("everywhere", [True, False], ids=["all", "one-namespace"])
@pytest.mark.parametrize("kind", ["ServingRuntime", "ClusterServingRuntime"])
async def test_a_service_waits_for_the_runtime_that_it_names(
    world: World, kind: str, *, everywhere: bool
) -> None:
    place = "" if everywhere else world.namespace
    await world.operator(**NEVER, SHOAL_WATCH_NAMESPACES=place)
    name = f"runtime-of-{world.namespace}"
    await world.api.create(bodies.framework(model={**NAMED, "runtime": name}))
    missing = "RuntimeNotRecognized"
    await world.until_condition("InferenceService", "mms", "PredictorReady", "False", missing)

    await world.api.create(bodies.runtime(name, kind=kind))
    try:
        (replica,) = await world.run_pods()
        body = await world.ready("InferenceService", "mms")
        field = "clusterServingRuntimeName" if kind.startswith("Cluster") else "servingRuntimeName"
        assert body["status"][field] == name
        pod = await world.api.get("Pod", replica.pod)
        assert pod["spec"]["containers"][0]["args"] == ["--of=mms"]
    finally:
        await world.api.delete(kind, name)


async def test_a_format_waits_for_a_runtime_that_serves_it(world: World) -> None:
    await world.operator(**NEVER)
    format_ = f"format-of-{world.namespace}"
    await world.api.create(bodies.framework(model={"modelFormat": {"name": format_}}))
    missing = "NoSupportingRuntime"
    await world.until_condition("InferenceService", "mms", "PredictorReady", "False", missing)

    formats = [{"name": format_, "autoSelect": True}]
    await world.api.create(bodies.runtime("mine", supportedModelFormats=formats))

    await world.run_pods()
    await world.ready("InferenceService", "mms")


async def test_a_changed_runtime_rolls_the_services_on_it(world: World) -> None:
    await world.operator(**NEVER)
    await world.api.create(bodies.runtime("mine"))
    await serve(world, bodies.framework())

    box = {"name": "kserve-container", "image": "localhost/two:dev"}
    await world.api.patch("ServingRuntime", "mine", {"spec": {"containers": [box]}})

    async def rolled() -> bool:
        return await image(world) == "localhost/two:dev"

    await until(rolled)


async def test_a_runtime_wakes_nobody_whom_it_does_not_concern(world: World) -> None:
    program = await world.operator(**NEVER)
    await world.api.create(bodies.runtime("mine"))
    await serve(world, bodies.unscaled(bodies.framework()))
    before = await world.quiet(program)

    better = [{"name": "sklearn", "autoSelect": True, "priority": 9}]
    await world.api.create(bodies.runtime("better", supportedModelFormats=better))
    await world.api.patch("ServingRuntime", "better", {"spec": {"multiModel": False}})
    await world.api.delete("ServingRuntime", "better")
    await asyncio.sleep(LONG)
    assert await program.metric(PASSES) == before

    await world.api.patch("ServingRuntime", "mine", {"metadata": {"labels": {"a": "b"}}})
    assert await world.quiet(program) == before + 1


async def test_a_runtime_that_goes_breaks_nothing(world: World) -> None:
    program = await world.operator(**RELIST)
    await world.api.create(bodies.runtime("mine"))
    await serve(world, bodies.framework())
    mark = await world.at_rest(program)
    before = await world.api.get("Deployment", "mms-predictor")

    await world.api.delete("ServingRuntime", "mine")

    gone = "RuntimeNotRecognized"
    body = await world.until_condition(
        "InferenceService", "mms", "RuntimeAvailable", "False", gone
    )
    assert condition(body, "Ready")["status"] == "True"
    model = await world.api.get("TrainedModel", "one")
    assert condition(model, "Ready")["status"] == "True"
    after = await world.api.get("Deployment", "mms-predictor")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    rest = await world.at_rest(program)  # the event is written after the status
    wrote = [(one.verb, one.resource) for one in world.audit.writes(mark)]
    assert sorted(wrote) == [("create", "events"), ("patch", "inferenceservices")]

    # Neither does a restart meanwhile, and it is taken up when it comes back.
    await program.kill()
    restarted = await world.operator(**RELIST, **SAME_POD)
    await world.relisted(restarted, rest, times=3)
    assert world.audit.writes(rest) == []
    await world.api.create(bodies.runtime("mine"))
    await world.until_condition("InferenceService", "mms", "RuntimeAvailable", "True")
    after = await world.api.get("Deployment", "mms-predictor")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_settled_service_on_a_runtime_costs_nothing(world: World) -> None:
    program = await world.operator(**RELIST)
    box = {
        **bodies.runtime("mine")["spec"]["containers"][0],
        "env": [{"name": "EMPTY", "value": ""}],
        "ports": [{"containerPort": 9000, "name": "grpc"}, {"containerPort": 8080}],
        "resources": {"requests": {"cpu": 1}, "limits": {"cpu": "2000m", "memory": "1024Mi"}},
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108 - in a pod
    }
    volumes = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}}]
    await world.api.create(
        bodies.runtime("mine", containers=[box], volumes=volumes, labels={"tier": "gold"})
    )
    model = {**NAMED, "env": [{"name": "A", "value": "b"}], "resources": {"limits": {"cpu": 1}}}
    await serve(world, bodies.framework(model=model, tolerations=[{"operator": "Exists"}]))
    mark = await world.at_rest(program)

    await world.api.patch("InferenceService", "mms", {"metadata": {"finalizers": []}})
    await world.api.patch("ServingRuntime", "mine", {"metadata": {"labels": {"a": "b"}}})
    await world.relisted(program, mark, times=3)

    assert world.audit.writes(mark) == []


def changed_back(world: World, name: str, first: Body) -> Callable[[], Awaitable[bool]]:
    async def is_back() -> bool:
        body = await world.api.find("ClusterServingRuntime", name)
        return body is not None and body["metadata"]["uid"] != first["metadata"]["uid"]

    return is_back


async def test_the_charts_runtimes_are_applied_and_kept(world: World, tmp_path: Path) -> None:
    name = f"chart-of-{world.namespace}"
    folder = tmp_path / "runtimes"
    folder.mkdir()
    body = bodies.runtime(name, kind="ClusterServingRuntime")
    (folder / "one.json").write_text(json.dumps(body))
    told = {**RELIST, "SHOAL_RUNTIMES_DIR": str(folder)}
    program = await world.operator(**told)
    try:
        first = await until(lambda: world.api.find("ClusterServingRuntime", name))
        mark = await world.at_rest(program)
        await program.kill()

        program = await world.operator(**told, **SAME_POD)
        await world.relisted(program, mark, times=3)
        assert world.audit.writes(mark) == []
        await program.kill()

        body["spec"]["protocolVersions"] = ["v1", "v2"]
        (folder / "one.json").write_text(json.dumps(body))
        await world.operator(**told, **SAME_POD)

        async def changed() -> bool:
            after = await world.api.get("ClusterServingRuntime", name)
            assert after["metadata"]["uid"] == first["metadata"]["uid"]
            return bool(after["spec"]["protocolVersions"] == ["v1", "v2"])

        await until(changed)
        await world.api.delete("ClusterServingRuntime", name)
        await until(changed_back(world, name, first))
    finally:
        await world.operators[-1].kill()
        await world.api.delete("ClusterServingRuntime", name)


async def test_what_the_chart_brings_is_written_once(world: World, tmp_path: Path) -> None:
    made = manifests.read(CHARTS)
    for body in made:
        body["metadata"]["name"] += f"-of-{world.namespace}"
        body["spec"]["disabled"] = True  # other tests choose among all of the cluster
        (tmp_path / f"{body['metadata']['name']}.json").write_text(json.dumps(body))
    told = {**RELIST, "SHOAL_RUNTIMES_DIR": str(tmp_path)}
    program = await world.operator(**told)
    try:
        for body in made:
            name = body["metadata"]["name"]
            found = await until(lambda name=name: world.api.find("ClusterServingRuntime", name))
            assert found["spec"] == body["spec"]
        mark = await world.at_rest(program)
        await world.relisted(program, mark, times=3)
        assert world.audit.writes(mark) == []
    finally:
        await world.operators[-1].kill()
        for body in made:
            await world.api.delete("ClusterServingRuntime", body["metadata"]["name"])
