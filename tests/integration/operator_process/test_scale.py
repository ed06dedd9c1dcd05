"""Twenty thousand models on one service, as the API server sees them.

It takes the API server minutes to accept so many, and the operator's statuses as long again.
So they are put where the API server keeps them, as it has kept one of them, status included.
It is the test's own, so that they need not be deleted one by one.
"""

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from integration.conftest import ApiServer, running
from integration.operator_process import bodies
from integration.operator_process.apis import Body, condition, until
from integration.operator_process.programs import Program
from integration.operator_process.worlds import World
from shoal import modelconfig

MANY = 20_000
NAMES = [f"model-{number:05}" for number in range(MANY)]
HALF_MEBIBYTE = 512 * 1024
MEBIBYTES = 400
PATIENCE = 600  # a pass over so many takes seconds, on a busy machine a minute
AT_ONCE = 100  # etcd takes 128 at most


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running(tmp_path_factory.mktemp("twenty-thousand")) as server:
        yield server


def model(name: str) -> Body:
    return bodies.model(name, uri=f"s3://models/team/experiments/{name}", memory="1Ki")


async def operator(world: World) -> Program:
    program = await world.start()
    await until(program.leads, seconds=PATIENCE)
    return program


class Etcd:
    """What the API server keeps its objects in."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{port}/v3/kv"
        self._session = session

    async def get(self, key: str) -> str:
        rows = (await self._call("range", {"key": _coded(key)}))["kvs"]
        return base64.b64decode(rows[0]["value"]).decode()

    async def put(self, values: dict[str, str]) -> None:
        puts = [{"key": _coded(key), "value": _coded(value)} for key, value in values.items()]
        answer = await self._call("txn", {"success": [{"requestPut": put} for put in puts]})
        assert answer["succeeded"], answer

    async def _call(self, verb: str, body: Body) -> Any:
        async with self._session.post(f"{self._url}/{verb}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def multiply(world: World, port: int) -> None:
    """Make twenty thousand of the one model that there is."""
    place = f"/registry/serving.kserve.io/trainedmodels/{world.namespace}/"
    async with aiohttp.ClientSession() as session:
        etcd = Etcd(port, session)
        stored = await etcd.get(place + NAMES[0])
        uid = json.loads(stored)["metadata"]["uid"]
        rest = [(name, str(uuid.uuid4())) for name in NAMES[1:]]
        for start in range(0, len(rest), AT_ONCE):
            some = rest[start : start + AT_ONCE]
            made = {
                place + name: stored.replace(NAMES[0], name).replace(uid, own)
                for name, own in some
            }
            await etcd.put(made)


@pytest.fixture
async def mark(world: World, control_plane: Any) -> int:
    """An operator that has met them all; the place in its audit log where it had not."""
    world.is_left = True
    first = await operator(world)
    await world.api.create_all(bodies.service(), model(NAMES[0]))
    await world.until_condition("TrainedModel", NAMES[0], "ModelLoaded", "False")
    await world.passes(first, 0)
    await first.kill()
    await multiply(world, control_plane.settings.base)
    before = world.audit.mark()
    await operator(world)
    return before


async def listed(world: World, names: list[str]) -> list[Body]:
    """Wait until exactly these models are listed; return the ConfigMaps."""

    async def all_of_them() -> bool:
        return await world.config() == names

    await until(all_of_them, seconds=PATIENCE, every=1)
    return await world.shards()


async def written(world: World, mark: int) -> list[str]:
    """Return the ConfigMaps that the operator wrote, once it is at rest."""

    async def rests() -> bool:
        return await world.operators[-1].metric("shoal_queue_keys") == 0

    await until(rests, seconds=PATIENCE, every=1)
    return [row.name for row in world.audit.writes(mark) if row.resource == "configmaps"]


def digests(shards: list[Body]) -> dict[str, str]:
    return {body["metadata"]["name"]: modelconfig.digest(body["data"]) for body in shards}


@pytest.mark.timeout(3 * PATIENCE)
async def test_twenty_thousand_models(world: World, mark: int) -> None:
    shards = await listed(world, NAMES)
    every = digests(shards)
    assert sorted(await written(world, mark)) == sorted(every), "each is written once"
    assert all(len(json.dumps(body)) < HALF_MEBIBYTE for body in (await world.children()).values())
    assert world.operators[-1].memory() < MEBIBYTES

    mark = world.audit.mark()
    await world.api.delete("ConfigMap", "modelconfig-mms-3")
    assert digests(await listed(world, NAMES)) == every
    assert await written(world, mark) == ["modelconfig-mms-3"]

    mark = world.audit.mark()
    big = model("too-big")
    big["spec"]["model"]["storageUri"] += "x" * HALF_MEBIBYTE
    await world.api.create_all(big, model("one-more"))
    after = digests(await listed(world, [*NAMES, "one-more"]))
    changed = [name for name in every if after[name] != every[name]]
    assert (len(changed), await written(world, mark)) == (1, changed)
    await until(lambda: is_refused(world), seconds=PATIENCE, every=1)


async def is_refused(world: World) -> bool:
    ready = condition(await world.api.get("TrainedModel", "too-big"), "Ready")
    assert (ready["status"], ready.get("reason")) == ("False", "ModelTooBig")
    return "would take 524432 bytes" in ready["message"]
