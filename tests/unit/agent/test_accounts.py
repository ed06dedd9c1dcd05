import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from shoal.agent.accounts import Accounts, Identity, Pace
from shoal.agent.errors import ApiError
from shoal.storage.failures import FetchError, Kind

Place = tuple[str, str]
ACCOUNT: Place = ("serviceaccounts", "default")


class FakeApi:
    """Objects by kind and name; an error in their place is raised."""

    def __init__(self, **secrets: str | ApiError) -> None:
        self.objects: dict[Place, Any] = {ACCOUNT: body("default", secrets=[{"name": "listed"}])}
        self.asked: list[Place] = []
        for name, value in secrets.items():
            self.put(name, value)

    def put(self, name: str, value: str | ApiError) -> None:
        coded = value
        if isinstance(value, str):
            coded = body(name, data={"key": base64.b64encode(value.encode()).decode()})
        self.objects["secrets", name] = coded

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        self.asked.append((kind, name))
        await asyncio.sleep(0)
        found = self.objects.get((kind, name), ApiError(404, "not found"))
        if isinstance(found, ApiError):
            raise found
        return dict(found)


def body(name: str, **rest: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns"}, **rest}


@dataclass
class Clock:
    """Time that passes when a test says so; what is paused for is noted."""

    time: float = 0.0
    pauses: list[float] = field(default_factory=list)
    on_pause: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.time

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.on_pause()


def accounts(api: FakeApi, secret: str = "", clock: Clock | None = None) -> Accounts:
    clock = clock or Clock()
    identity = Identity("ns", "default", secret)
    return Accounts(api, identity, {"AWS_REGION": "r"}, Pace(clock.now, clock.pause))


async def keys(known: Accounts, secret: str = "") -> list[str]:
    return [each.data["key"] for each in (await known.read(secret)).secrets]


@pytest.mark.parametrize(
    ("service", "model", "expected"),
    [
        pytest.param("", "", ["of-account"], id="the-accounts-list"),
        pytest.param("service", "", ["of-service"], id="the-services-before-the-list"),
        pytest.param("service", "model", ["of-model"], id="the-models-before-the-services"),
        pytest.param("", "model", ["of-model"], id="the-models-before-the-list"),
    ],
)
async def test_the_nearest_annotation_wins(service: str, model: str, expected: list[str]) -> None:
    api = FakeApi(listed="of-account", service="of-service", model="of-model")
    assert await keys(accounts(api, service), model) == expected


async def test_many_models_read_each_secret_once() -> None:
    api = FakeApi(a="1", b="2", listed="3")
    known = accounts(api)
    names = ["a", "b", ""] * 20
    read = await asyncio.gather(*(keys(known, name) for name in names))
    assert read == [["1"], ["2"], ["3"]] * 20
    wanted = [ACCOUNT, ("secrets", "a"), ("secrets", "b"), ("secrets", "listed")]
    assert sorted(api.asked) == sorted(wanted)


async def test_a_missing_secret_is_asked_for_once_by_many() -> None:
    api = FakeApi()
    known = accounts(api)
    tries = await asyncio.gather(*(known.read("gone") for _ in range(20)), return_exceptions=True)
    assert {str(each) for each in tries} == {"Secret ns/gone does not exist"}
    assert api.asked == [("secrets", "gone")]


async def test_a_secret_that_may_not_be_read_says_who_and_what_to_do() -> None:
    known = accounts(FakeApi(other=ApiError(403, "forbidden")))
    with pytest.raises(FetchError) as caught:
        await known.read("other")
    assert caught.value.message == (
        "Secret ns/other may not be read by ServiceAccount ns/default: let the chart's "
        'credentials.secrets reach namespace ns, or grant "get" on it'
    )
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "CredentialsNotFound")


async def test_a_right_that_comes_a_moment_late_is_no_failure() -> None:
    api = FakeApi(own=ApiError(403, "forbidden"))
    clock = Clock(on_pause=lambda: api.put("own", "now"))
    known = accounts(api, clock=clock)
    assert await keys(known, "own") == ["now"]


async def test_a_lasting_refusal_is_waited_for_once() -> None:
    api = FakeApi(own=ApiError(403, "forbidden"))
    clock = Clock()
    known = accounts(api, clock=clock)
    for _ in range(2):
        clock.time += 5
        with pytest.raises(FetchError):
            await known.read("own")
    assert len(clock.pauses) == 1


async def test_a_corrected_secret_is_read_at_the_next_try() -> None:
    api, clock = FakeApi(own="wrong"), Clock()
    known = accounts(api, clock=clock)
    assert await keys(known, "own") == ["wrong"]
    api.put("own", "right")
    clock.time += 5
    assert await keys(known, "own") == ["right"]


async def test_a_silent_api_server_leaves_what_was_read() -> None:
    api, clock = FakeApi(own="held"), Clock()
    known = accounts(api, clock=clock)
    await known.read("own")
    api.put("own", ApiError(0, "timed out"))
    clock.time += 5
    assert await keys(known, "own") == ["held"]


async def test_a_silent_api_server_at_the_start_leaves_the_environment() -> None:
    read = await accounts(FakeApi(listed=ApiError(500, "broken"))).read()
    assert read.secrets == ()
    assert read.environ == {"AWS_REGION": "r"}
    assert read.missing == ("credentials cannot be read: broken",)


async def test_what_is_listed_and_not_there_is_told_of() -> None:
    api = FakeApi(two="2")
    api.objects[ACCOUNT]["secrets"] = [{"name": "one"}, {"name": "two"}]
    read = await accounts(api).read()
    assert [each.name for each in read.secrets] == ["Secret ns/two"]
    assert read.missing == (
        "Secret ns/one does not exist; it is listed by ServiceAccount ns/default",
    )
