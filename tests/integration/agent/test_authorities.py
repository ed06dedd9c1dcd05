"""The installation's CA bundle, with every client: real stores behind TLS of an own authority."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster.certificates import Authority, Pair
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError
from support import faultypipes, faultysites
from support.agentrigs import ACCESS_KEY, SECRET_KEY
from support.faultysites import whole
from support.fetches import fetch
from support.fetchruns import FetchRun, found
from support.hubs import hub
from support.stores import Azurite, FakeGcs, Gateway

MODEL = b"a model"


@dataclass(frozen=True)
class Store:
    """A store behind TLS: an address in it, and what it is asked with."""

    uri: str
    secret: dict[str, str]
    environ: dict[str, str]

    def known(self, folder: Path | None) -> Credentials:
        more = {"CA_BUNDLE_VOLUME_MOUNT_POINT": str(folder)} if folder else {}
        holders = (Holder("Secret ns/s", self.secret, {}),) if self.secret else ()
        return Credentials(holders, environ={**self.environ, **more})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("store", "/CN=store", hosts=["IP:127.0.0.1"])


@pytest.fixture
def bundle(authority: Authority, tmp_path: Path) -> Path:
    """The folder as it is mounted."""
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "cabundle.crt").write_text(authority.ca().certificate.read_text())
    return folder


def s3(stack: ExitStack, folder: Path, pair: Pair) -> Store:
    made = Gateway.make(folder, tls=pair)
    stack.callback(made.process.end)
    made.put("m/a", MODEL)
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    return Store("s3://models/m", {**keys, "AWS_ENDPOINT_URL": made.endpoint}, {})


def gcs(stack: ExitStack, folder: Path, pair: Pair) -> Store:
    pipe = stack.enter_context(faultypipes.running(0, pair))
    made = FakeGcs.make(folder, pipe.port)
    stack.callback(made.process.end)
    made.put("m/a", MODEL)
    pipe.server = urlsplit(made.endpoint).port or 0
    return Store("gs://models/m", {}, {"STORAGE_EMULATOR_HOST": pipe.endpoint})


def azure(stack: ExitStack, folder: Path, pair: Pair) -> Store:
    made = Azurite.make(folder)
    stack.callback(made.process.end)
    made.put("m/a", MODEL)
    parts = urlsplit(made.endpoint)
    assert parts.port
    pipe = stack.enter_context(faultypipes.running(parts.port, pair))
    endpoint = f"{pipe.endpoint}{parts.path}"
    return Store("az://models/m", made.secret(AZURE_STORAGE_ENDPOINT=endpoint), {})


def https(stack: ExitStack, folder: Path, pair: Pair) -> Store:
    site = stack.enter_context(faultysites.running(folder))
    site.plan("/a", whole(MODEL))
    port = urlsplit(site.url).port
    assert port
    pipe = stack.enter_context(faultypipes.running(port, pair))
    return Store(f"{pipe.endpoint}/a", {}, {})


@pytest.fixture(scope="module", params=[s3, gcs, azure, https])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pair: Pair
) -> Iterator[Store]:
    make: Callable[[ExitStack, Path, Pair], Store] = request.param
    with ExitStack() as stack:
        yield make(stack, tmp_path_factory.mktemp("store"), pair)


async def test_what_it_names_is_trusted_and_nothing_else(
    store: Store, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match="its TLS certificate is ") as caught:
        await fetch(store.uri, tmp_path / "without", store.known(None))
    assert "cabundle" in caught.value.message
    (bundle / "cabundle.crt").rename(bundle / "away")
    with pytest.raises(FetchError, match="its TLS certificate is "):
        await fetch(store.uri, tmp_path / "missing", store.known(bundle))
    (bundle / "away").rename(bundle / "cabundle.crt")
    assert await fetch(store.uri, tmp_path / "with", store.known(bundle)) == {"a": MODEL}


async def test_a_hub_of_ones_own_is_trusted_too(pair: Pair, bundle: Path, tmp_path: Path) -> None:
    async with hub(pair) as site:
        site.models["org/model"] = {"main": {"a": MODEL}}
        one = Store("hf://org/model", {}, {"HF_ENDPOINT": site.url})
        with pytest.raises(FetchError, match="cabundle"):
            await fetch(one.uri, tmp_path / "without", one.known(None))
        assert await fetch(one.uri, tmp_path / "with", one.known(bundle)) == {"a": MODEL}


def test_the_init_container_is_told_of_it_by_upstreams_variables(
    pair: Pair, bundle: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        one = https(stack, tmp_path / "site", pair)
        environ = {"CA_BUNDLE_VOLUME_MOUNT_POINT": str(bundle), "CA_BUNDLE_CONFIGMAP_NAME": "ca"}
        done = FetchRun.make(tmp_path / "run", "", environ).run(one.uri, tmp_path / "models")
        assert (done.returncode, done.stderr) == (0, "")
        assert found(tmp_path / "models") == {"a": MODEL}
        (bundle / "cabundle.crt").write_text("nonsense")
        done = FetchRun.make(tmp_path / "run", "", environ).run(one.uri, tmp_path / "again")
        assert done.returncode == 1
        where = f"the CA bundle {bundle}/cabundle.crt (ConfigMap ca) has no certificate"
        assert where in done.stderr


async def test_a_buckets_own_authority_is_trusted_beside_it(
    authority: Authority, pair: Pair, bundle: Path, tmp_path: Path
) -> None:
    text = authority.ca().certificate.read_text()
    other = Authority(tmp_path / "other").ca().certificate.read_text()
    with ExitStack() as stack:
        one = s3(stack, tmp_path / "store", pair)
        holder = Holder("Secret ns/s", one.secret, {}, text)
        (bundle / "cabundle.crt").write_text(other)
        environ = {"CA_BUNDLE_VOLUME_MOUNT_POINT": str(bundle)}
        known = Credentials((holder,), environ=environ)
        assert await fetch(one.uri, tmp_path / "own", known) == {"a": MODEL}
        (bundle / "cabundle.crt").write_text(text)
        known = Credentials((Holder("Secret ns/s", one.secret, {}, other),), environ=environ)
        assert await fetch(one.uri, tmp_path / "common", known) == {"a": MODEL}
