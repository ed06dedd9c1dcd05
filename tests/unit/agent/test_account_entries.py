"""`storage` of a model: the entry is read through the API each time, and nothing else is used."""

import base64
import json
from typing import Any

import pytest

from shoal.agent.accounts import Accounts, Identity, Pace
from shoal.agent.errors import ApiError
from shoal.storage import credentials
from shoal.storage.failures import FetchError, Kind
from shoal.storagespecs import StorageSpec

ENTRY = {
    "type": "s3",
    "bucket": "b",
    "access_key_id": "id",
    "secret_access_key": "key",
    "cabundle_configmap": "ca",
}
SPEC = StorageSpec("storage-config", "k")
NAME = "Secret ns/storage-config, key k"


class FakeApi:
    """Objects by kind and name; an error in their place is raised."""

    def __init__(self, secret: Any = None, **config_maps: Any) -> None:
        self.asked: list[str] = []
        self.objects = {
            "serviceaccounts/default": body("default", secrets=[{"name": "listed"}]),
            "secrets/storage-config": secret or of(ENTRY),
            **{f"configmaps/{name}": found for name, found in config_maps.items()},
        }

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        self.asked.append(f"{kind}/{name}")
        found = self.objects.get(f"{kind}/{name}", ApiError(404, "not found"))
        if isinstance(found, ApiError):
            raise found
        return dict(found)


def body(name: str, **rest: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns"}, **rest}


def of(entry: dict[str, str]) -> dict[str, Any]:
    coded = base64.b64encode(json.dumps(entry).encode()).decode()
    return body("storage-config", data={"k": coded})


async def _no_pause(_: float) -> None:
    """Pass at once."""


def accounts(api: FakeApi) -> Accounts:
    return Accounts(api, Identity("ns", "default"), {"A": "B"}, Pace(pause=_no_pause))


async def test_the_entry_alone_logs_in_and_the_accounts_secrets_are_not_read() -> None:
    api = FakeApi(ca=body("ca", data={"cabundle.crt": "PEM"}))
    entry, known = await accounts(api).read_entry(SPEC)
    options = credentials.s3(known)
    assert (options.origin, options.access_key, options.authority) == (NAME, "id", "PEM")
    assert entry.fields["bucket"] == "b"
    assert known.environ == {"A": "B"}
    assert "secrets/listed" not in api.asked


async def test_a_rotated_entry_is_read_the_next_time() -> None:
    api = FakeApi(ca=body("ca"))
    mine = accounts(api)
    await mine.read_entry(SPEC)
    api.objects["secrets/storage-config"] = of({**ENTRY, "access_key_id": "new"})
    _, known = await mine.read_entry(SPEC)
    assert credentials.s3(known).access_key == "new"


@pytest.mark.parametrize(
    ("spec", "secret", "kind", "message"),
    [
        pytest.param(
            SPEC,
            ApiError(404, "x"),
            Kind.PERMANENT,
            "Secret ns/storage-config does not exist",
            id="no-secret",
        ),
        pytest.param(
            SPEC,
            ApiError(403, "x"),
            Kind.PERMANENT,
            "Secret ns/storage-config may not be read by ServiceAccount ns/default",
            id="no-right",
        ),
        pytest.param(
            StorageSpec("storage-config"),
            ApiError(500, "x"),
            Kind.TRANSIENT,
            "credentials cannot be read: x",
            id="no-api-server",
        ),
    ],
)
async def test_what_cannot_be_read_is_said(
    spec: StorageSpec, secret: ApiError, kind: Kind, message: str
) -> None:
    with pytest.raises(FetchError) as caught:
        await accounts(FakeApi(secret)).read_entry(spec)
    assert caught.value.kind is kind
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("status", [403, 404])
async def test_without_a_key_the_secret_need_not_be_there(status: int) -> None:
    spec = StorageSpec("storage-config", parameters={"type": "s3", "bucket": "b"})
    entry, known = await accounts(FakeApi(ApiError(status, "x"))).read_entry(spec)
    assert entry.kind == "s3"
    assert credentials.s3(known).origin == credentials.NONE
    assert known.missing[0].startswith("Secret ns/storage-config ")


async def test_an_entry_without_credentials_says_so_where_they_are_needed() -> None:
    api = FakeApi(of({"type": "s3", "bucket": "b"}))
    _, known = await accounts(api).read_entry(SPEC)
    assert known.missing == (f"{NAME} has no credentials for it",)


BARE = {"type": "s3", "bucket": "b", "endpoint_url": "http://minio", "cabundle_configmap": "ca"}
ROLE = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn"}


@pytest.mark.parametrize(
    ("more", "environ", "ambient", "anonymous"),
    [
        pytest.param({}, ROLE, True, False, id="the-role-of-the-pod"),
        pytest.param({}, {}, False, True, id="a-stranger-without-one"),
        pytest.param({"anonymous": "true"}, ROLE, False, True, id="a-stranger-on-purpose"),
        pytest.param({"anonymous": "false"}, {}, True, False, id="the-role-of-the-node"),
    ],
)
async def test_an_entry_without_keys_leads_the_pods_role_to_its_store(
    more: dict[str, str], environ: dict[str, str], *, ambient: bool, anonymous: bool
) -> None:
    api = FakeApi(of({**BARE, **more}), ca=body("ca", data={"cabundle.crt": "PEM"}))
    mine = Accounts(api, Identity("ns", "default"), environ, Pace(pause=_no_pause))
    _, known = await mine.read_entry(SPEC)
    options = credentials.s3(known)
    assert (options.ambient, options.anonymous) == (ambient, anonymous)
    assert (options.endpoint, options.authority) == ("http://minio", "PEM")
