import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from cluster import controlplane, kubeconfigs, processes
from integration.operator_process import worlds
from integration.operator_process.apis import Api
from integration.operator_process.audits import Audit
from integration.operator_process.worlds import OPERATOR_USER, World
from support.proxies import Proxy

_NUMBERS = itertools.count(1)
MakeProxy = Callable[[], Awaitable[tuple[Proxy, dict[str, str]]]]


@pytest.fixture(scope="session")
def control_plane(api_server: Any) -> Any:
    """The API server, with controllers that know our kinds.

    The garbage collector looks for new kinds twice a minute, and when it starts.
    """
    folder = api_server.settings.folder
    processes.stop(folder / "run" / "kube-controller-manager.json")
    controlplane.start(api_server.settings)
    return api_server


@pytest.fixture
async def world(
    control_plane: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """A namespace of the test's own; operators log into the test's folder."""
    settings = control_plane.settings
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
    namespace = f"{words}-{next(_NUMBERS)}"
    admin = settings.authority.issue("tests", "/O=system:masters/CN=tests")
    ca = settings.authority.ca().certificate
    api = Api.connect(settings.server, namespace, ca, (admin.certificate, admin.key))
    kubeconfig = controlplane.client_config(
        settings, "operator", f"/O=system:masters/CN={OPERATOR_USER}"
    )
    audit = Audit(settings.audit_log, OPERATOR_USER, namespace)
    async with worlds.make(api, audit, control_plane.kubectl, tmp_path, kubeconfig) as made:
        yield made
    for program in made.operators:
        print(f"--- {program.name}\n{program.tail()}")  # noqa: T201 - shown where a test fails
    for program in made.operators:
        assert made.may_fail or "Traceback" not in program.said(), f"{program.name}: a traceback"


@pytest.fixture
async def make_proxy(control_plane: Any, world: World) -> AsyncIterator[MakeProxy]:
    """Make proxies between an operator of the test's world and the API server.

    A proxy comes with the variables that lead an operator to it.
    """
    settings = control_plane.settings
    user = settings.authority.issue("operator", f"/O=system:masters/CN={OPERATOR_USER}")
    ca = settings.authority.ca().certificate
    async with AsyncExitStack() as stack:

        async def make() -> tuple[Proxy, dict[str, str]]:
            beside = Proxy.beside(settings.authority, settings.server, user)
            made = await stack.enter_async_context(beside)
            place = world.folder / f"proxied-{made.url.rpartition(':')[2]}"
            kubeconfig = kubeconfigs.write(place, server=made.url, ca=ca, client=user)
            return made, {"KUBECONFIG": str(kubeconfig)}

        yield make
        # Operators end before what they talk to, or they say that it is gone.
        for program in world.operators:
            if program.process.returncode is None:
                await program.kill()


@pytest.fixture
async def proxy(make_proxy: MakeProxy, world: World) -> Proxy:
    """A proxy between all operators of the test's world and the API server."""
    made, environ = await make_proxy()
    world.kubeconfig = Path(environ["KUBECONFIG"])
    return made
