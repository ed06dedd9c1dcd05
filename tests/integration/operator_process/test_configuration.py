"""The `inferenceservice-config` is watched; a malformed one leaves the last good in force."""

import json

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import until
from integration.operator_process.worlds import World

NAME = "inferenceservice-config"
VALID = "shoal_config_valid"
PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


def ingress(**fields: object) -> dict[str, str]:
    return {"ingress": json.dumps(fields)}


@pytest.mark.weakness("C21")
async def test_a_changed_domain_changes_ingress_and_urls(world: World) -> None:
    await world.api.create(bodies.config_map(NAME, ingress(ingressDomain="one.test")))
    program = await world.operator()
    await world.serve("one")

    await domain(world, "one.test")
    await world.api.patch("ConfigMap", NAME, {"data": ingress(ingressDomain="two.test")})
    await domain(world, "two.test")

    await world.api.patch("ConfigMap", NAME, {"data": {"ingress": '{"ingressDomain": 7}'}})

    async def refused() -> bool:
        events = await world.api.events("ConfigInvalid")
        assert [event["involvedObject"]["kind"] for event in events] == ["ConfigMap"]
        assert "ingressDomain" in events[0]["message"]
        return await program.metric(VALID) == 0

    await until(refused)
    await domain(world, "two.test")
    await world.api.patch("ConfigMap", NAME, {"data": ingress(ingressDomain="three.test")})
    await domain(world, "three.test")
    assert await program.metric(VALID) == 1
    await world.api.delete("ConfigMap", NAME)
    await domain(world, "example.com")


async def domain(world: World, expected: str) -> None:
    async def is_everywhere() -> bool:
        service = await world.api.get("InferenceService", "mms")
        model = await world.api.get("TrainedModel", "one")
        rules = (await world.api.get("Ingress", "mms"))["spec"]["rules"]
        host = f"mms.{world.namespace}.{expected}"
        assert service["status"]["url"] == f"http://{host}"
        assert model["status"]["url"] == f"http://{host}/v2/models/one/infer"
        assert rules[0]["host"] == host
        return True

    await until(is_everywhere)


async def test_a_start_over_a_malformed_one_waits_and_changes_nothing(world: World) -> None:
    await world.api.create(bodies.config_map(NAME, ingress(ingressDomain="one.test")))
    program = await world.operator(SHOAL_RELIST_SECONDS="0.4")
    await world.serve("one")
    await domain(world, "one.test")
    mark = await world.at_rest(program)
    await program.terminate()
    await world.api.patch("ConfigMap", NAME, {"data": {"ingress": "{"}})

    restarted = await world.start()

    await until(lambda: world.api.events("ConfigInvalid"))
    assert not await restarted.leads()
    assert {row.resource for row in world.audit.writes(mark)} == {"events"}
    await world.api.patch("ConfigMap", NAME, {"data": ingress(ingressDomain="two.test")})
    await until(restarted.leads)
    await domain(world, "two.test")


@pytest.mark.weakness("C25")
async def test_a_ca_bundle_is_copied_for_each_service_and_kept_while_it_is_broken(
    world: World,
) -> None:
    named = {"storageInitializer": json.dumps({"caBundleConfigMapName": "corporate"})}
    await world.api.create(bodies.config_map(NAME, named))
    await world.api.create(bodies.config_map("corporate", {"cabundle.crt": PEM}))
    program = await world.operator()
    env = [{"name": "STORAGE_URI", "value": "s3://models/iris"}]
    await world.api.create(bodies.service("iris", container={"env": env}))
    await copied(world, PEM)
    deployment = await until(lambda: world.api.find("Deployment", "iris-predictor"))
    generation = deployment["metadata"]["generation"]

    await world.api.patch("ConfigMap", "corporate", {"data": {"cabundle.crt": "nonsense"}})
    await until(lambda: world.api.events("ConfigInvalid"))
    await copied(world, PEM)
    await program.terminate()
    await world.api.delete("ConfigMap", "corporate")
    await world.start()

    async def told() -> bool:
        events = await world.api.events("ConfigInvalid")
        return any("does not exist" in event["message"] for event in events)

    await until(told)
    await copied(world, PEM)
    await world.api.create(bodies.config_map("corporate", {"cabundle.crt": PEM * 2}))
    await copied(world, PEM * 2)
    deployment = await world.api.get("Deployment", "iris-predictor")
    assert deployment["metadata"]["generation"] == generation

    await world.api.patch("ConfigMap", NAME, {"data": {"storageInitializer": "{}"}})

    async def gone() -> bool:
        return await world.api.find("ConfigMap", "cabundle-iris") is None

    await until(gone)


async def copied(world: World, text: str) -> None:
    async def is_there() -> bool:
        body = await world.api.find("ConfigMap", "cabundle-iris") or {}
        return (body.get("data") or {}).get("cabundle.crt") == text

    await until(is_there)
