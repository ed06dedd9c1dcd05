"""An operator that is there before the definitions of what it serves."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import controlplane
from integration.conftest import ApiServer, install_crds
from integration.operator_process import bodies, programs
from integration.operator_process.apis import until


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[ApiServer]:
    """An API server of this test's own, without our definitions."""
    folder = tmp_path / "controlplane"
    settings = controlplane.Settings(folder, controlplane.free_base())
    try:
        yield ApiServer(controlplane.start(settings), settings)
    finally:
        controlplane.stop(folder)


async def test_it_waits_for_them_and_then_serves(bare: ApiServer, tmp_path: Path) -> None:
    env = {"KUBECONFIG": str(bare.kubeconfig), "SHOAL_NAMESPACE": "default"}
    program = await programs.start("early", tmp_path / "early.log", env)
    try:
        await until(lambda: _says(program, "waiting: the definitions of inferenceservices"))
        assert (await program.get("/readyz"))[0] == 503
        await asyncio.to_thread(install_crds, bare)
        await until(program.leads, seconds=30)
        service = bodies.service("mms")
        service["metadata"]["namespace"] = "default"
        done = bare.kubectl("apply", "-f", "-", text=json.dumps(service))
        assert done.returncode == 0, done.stderr
        await until(lambda: _has_status(bare), seconds=20)
    finally:
        await program.kill()


async def _says(program: programs.Program, words: str) -> bool:
    return words in program.said()


async def _has_status(server: ApiServer) -> bool:
    path = "jsonpath={.status.conditions[0].type}"
    return bool(server.kubectl("get", "-n", "default", "isvc", "mms", "-o", path).stdout)
