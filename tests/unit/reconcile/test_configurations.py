"""Which configuration is in force."""

import json

import pytest

from shoal.cluster import kinds
from shoal.cluster.ports import Body
from shoal.reconcile.configurations import Configuration
from shoal.reconcile.events import Recorder
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import World

PREDICTOR = f"{builders.SERVICE}-predictor"


def config(**keys: object) -> Body:
    data = {key: json.dumps(value) for key, value in keys.items()}
    return {"metadata": builders.metadata("inferenceservice-config"), "data": data}


class Held:
    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.changes = 0
        recorder = Recorder(self.cluster, lambda: builders.NOW)
        self.configuration = Configuration(builders.process(), recorder, self._change)

    def _change(self) -> None:
        self.changes += 1

    @property
    def domain(self) -> str:
        return self.configuration.current.ingress.ingress_domain


async def test_an_absent_one_means_the_defaults() -> None:
    held = Held()
    await held.configuration.offer(None)
    assert (held.domain, held.changes) == ("example.com", 0)
    assert held.configuration.current.agent.image == "shoal:test"
    await held.configuration.known()


async def test_a_valid_one_is_in_force_at_once() -> None:
    held = Held()
    await held.configuration.offer(config(ingress={"ingressDomain": "models.test"}))
    assert (held.domain, held.changes) == ("models.test", 1)


@pytest.mark.weakness("C14")
async def test_a_malformed_one_leaves_the_last_good_and_is_told_once() -> None:
    held = Held()
    await held.configuration.offer(config(ingress={"ingressDomain": "models.test"}))
    broken = config()
    broken["data"]["ingress"] = "{"
    await held.configuration.offer(broken)
    await held.configuration.offer(broken)
    assert (held.domain, held.changes) == ("models.test", 1)
    assert held.cluster.events() == ["ConfigInvalid"]
    (event,) = held.cluster.objects.values()
    assert "ingress" in event["message"]


async def test_a_malformed_one_at_the_start_is_waited_out() -> None:
    held = Held()
    broken = config()
    broken["data"]["agent"] = "[]"
    await held.configuration.offer(broken)
    assert not held.configuration.is_known()
    await held.configuration.offer(config())
    assert held.configuration.is_known()


async def test_a_service_that_is_to_lose_its_address_is_made_anew() -> None:
    world = World(FakeCluster(), FakeAgents())
    world.cluster.put(builders.inference_service())
    await world.run()
    for is_headless in (True, False):
        world.data = {"service": json.dumps({"serviceClusterIPNone": is_headless})}
        world.cluster.writes.clear()
        await world.run()
        writes = [(verb, name) for verb, kind, name in world.cluster.writes if kind == "Service"]
        assert writes == [("delete", PREDICTOR), ("apply", PREDICTOR)]
        spec = world.one(kinds.SERVICE, PREDICTOR)["spec"]
        assert (spec.get("clusterIP") == "None") is is_headless


async def test_the_same_again_wakes_nobody() -> None:
    held = Held()
    for _ in range(2):
        await held.configuration.offer(config(ingress={"ingressDomain": "models.test"}))
    assert held.changes == 1
