"""A list of models that crosses a border between ConfigMaps, with the real agent in the pod."""

import asyncio
import collections
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration.operator_process import bodies
from integration.operator_process.apis import Body, until
from integration.operator_process.worlds import World
from support.agentrigs import Agent, ModelServer, Process, artefact, free_port, listens
from support.namespaces import Namespace
from support.traffic import Client, Door

CROSSINGS = 100
# So long are the rows that a few models fill a ConfigMap: 13 are in one, 19 in two.
LONG = "sklearn" + "-" * 14_000
STAYING = [f"stays-{number:02}" for number in range(13)]
COMING = [f"comes-{number:02}" for number in range(6)]
CALL = re.compile(r"/repository/models/(\S+)/(load|unload) HTTP")


@dataclass
class Pod:
    """A pod that the real agent and a model server run for."""

    name: str
    agent: Agent
    server: ModelServer

    def calls(self) -> collections.Counter[tuple[str, str]]:
        """Count the loads and unloads that the server was asked for, by model."""
        return collections.Counter(CALL.findall(self.server.process.log.read_text()))

    async def holds(self, *names: str) -> None:
        """Wait until exactly these models are loaded."""

        async def held() -> bool:
            report = await asyncio.to_thread(self.agent.report)
            loaded = {name for name, state in report.models.items() if state.loaded}
            return loaded == set(names) == report.models.keys()

        await until(held, seconds=60)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[str]:
    """Where a model is."""
    (tmp_path / "web" / "one").mkdir(parents=True)
    (tmp_path / "web" / "one" / "model.joblib").write_bytes(artefact(1.0))
    port = free_port()
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    web = Process([*argv, "--directory", str(tmp_path / "web")], {}, tmp_path / "web.log")
    web.start()

    async def serves() -> bool:
        return listens(port)

    await until(serves)
    yield f"http://127.0.0.1:{port}/one/model.joblib"
    web.end()


def model(name: str, place: str) -> Body:
    made = bodies.model(name, uri=place)
    made["spec"]["model"]["framework"] = LONG
    return made


@pytest.fixture
async def pod(world: World, control_plane: Any, tmp_path: Path, place: str) -> AsyncIterator[Pod]:
    """A service with the models that stay, loaded, and its pod."""
    await world.operator()
    await world.api.create_all(bodies.service(), *(model(name, place) for name in STAYING))

    async def waiting() -> Body | None:
        pods = await world.api.all("Pod", "serving.kserve.io/inferenceservice=mms")
        return next((pod for pod in pods if len(pod["spec"]["containers"]) == 2), None)

    name = (await until(waiting))["metadata"]["name"]
    folder = tmp_path / "replica"
    (folder / "models").mkdir(parents=True)
    server = ModelServer.make(folder / "models", folder / "server.log")
    login = Namespace(control_plane, world.namespace, tmp_path / "token").log_in()
    address = world.free_address()
    own = {
        "SHOAL_INFERENCE_SERVICE": "mms",
        "SHOAL_POD_NAME": name,
        "SHOAL_ADMIN_HOST": address,
        "SHOAL_ADMIN_PORT": "9082",
    }
    agent = Agent.make(folder, server.port, login | own)
    server.start()
    await asyncio.to_thread(agent.start)
    await world.place(name, address)
    made = Pod(name, agent, server)
    await made.holds(*STAYING)
    yield made
    assert agent.process.end(signal.SIGTERM) == 0, agent.tail()
    server.process.end()


async def has(world: World, *names: str, shards: int) -> None:
    async def listed() -> bool:
        return len(await world.shards()) == shards and await world.config() == sorted(names)

    await until(listed)


@pytest.mark.weakness("M14")
@pytest.mark.timeout(900)
async def test_a_hundred_borders_restart_no_pod_and_lose_no_model(
    world: World, pod: Pod, place: str
) -> None:
    before = await world.api.get("Deployment", "mms-predictor")
    door = Door(f"127.0.0.1:{pod.server.port}", "model", STAYING[0])
    with Client(door) as client:
        for _ in range(CROSSINGS // 2):
            await world.api.create_all(*(model(name, place) for name in COMING))
            await has(world, *STAYING, *COMING, shards=2)
            await pod.holds(*STAYING, *COMING)
            await asyncio.gather(*(world.api.delete("TrainedModel", name) for name in COMING))
            await has(world, *STAYING, shards=1)
            await pod.holds(*STAYING)

    calls = pod.calls()
    assert {name: calls[name, "load"] for name in STAYING} == dict.fromkeys(STAYING, 1)
    assert {name: calls[name, "unload"] for name in STAYING} == dict.fromkeys(STAYING, 0)
    for call in ("load", "unload"):
        times = {name: calls[name, call] for name in COMING}
        assert times == dict.fromkeys(COMING, CROSSINGS // 2)
    after = await world.api.get("Deployment", "mms-predictor")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert (await world.api.get("Pod", pod.name))["metadata"].get("deletionTimestamp") is None
    assert client.answers
    assert client.failures == []


def _patch(path: str, value: Any = None) -> list[Body]:
    if value is None:
        return [{"op": "remove", "path": path}]
    return [{"op": "replace", "path": path, "value": value}]


HARMS: dict[str, list[Body] | None] = {
    "list emptied": _patch("/data/models.json", "[]"),
    "number removed": _patch("/data/shards"),
    "emptied": _patch("/data"),
    "deleted": None,
}


async def harm(world: World, index: int, patch: list[Body] | None) -> None:
    name = f"modelconfig-mms-{index}"
    if patch is None:
        await world.api.delete("ConfigMap", name)
        return
    path = world.api.path("ConfigMap", name)
    status, answer = await world.api.request("PATCH", path, patch, "application/json-patch+json")
    assert status == 200, answer


async def contents(world: World) -> list[Body]:
    return [body.get("data", {}) for body in await world.shards()]


async def grow(world: World, pod: Pod, place: str) -> None:
    await world.api.create_all(*(model(name, place) for name in COMING))
    await has(world, *STAYING, *COMING, shards=2)
    await pod.holds(*STAYING, *COMING)


async def test_what_somebody_does_to_a_shard_is_undone_and_unloads_nothing(
    world: World, pod: Pod, place: str
) -> None:
    await grow(world, pod, place)
    wanted, calls, mark = await contents(world), pod.calls(), world.audit.mark()

    async def undone() -> bool:
        return await contents(world) == wanted

    for index in (0, 1):
        for patch in HARMS.values():
            await harm(world, index, patch)
            await until(undone)
    await world.passes(world.operators[0], 0)

    assert [row.name for row in world.audit.writes(mark) if row.resource == "configmaps"] == [
        f"modelconfig-mms-{index}" for index in (0, 1) for _ in HARMS
    ]
    await pod.holds(*STAYING, *COMING)
    assert pod.calls() == calls


@pytest.mark.parametrize("words", ["list emptied", "deleted"])
async def test_with_no_operator_a_harmed_list_unloads_nothing(
    world: World, pod: Pod, place: str, words: str
) -> None:
    await grow(world, pod, place)
    calls = pod.calls()
    await world.operators[0].kill()

    async def said(times: int) -> bool:
        return pod.agent.process.log.read_text().count("held models stay") >= times

    await harm(world, 0, HARMS[words])
    await until(lambda: said(1))
    assert (await asyncio.to_thread(pod.agent.report)).models.keys() == {*STAYING, *COMING}
    pod.agent.process.end()
    await asyncio.to_thread(pod.agent.start)
    await until(lambda: said(2))
    assert pod.calls() == calls

    await world.operator()
    await pod.holds(*STAYING, *COMING)
    assert pod.calls() == calls
