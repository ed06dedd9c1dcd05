"""The API server goes and comes back; what no watch tells of is found all the same."""

import asyncio
import contextlib
import os
import signal
from typing import Any

from cluster import controlplane, processes
from integration.operator_process import bodies
from integration.operator_process.apis import until
from integration.operator_process.worlds import World

# Without a Lease: how long one lasts without the API server is asked in test_silences.py.
ALONE = {"SHOAL_LEADER_ELECTION": "false"}


def stop(settings: controlplane.Settings) -> None:
    """End the API server."""
    pid = processes.running(settings.folder / "run" / "kube-apiserver.json")
    assert pid
    os.kill(
        pid, signal.SIGKILL
    )  # told to stop it takes ten seconds, and costs the leader its lease
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)  # only then is its port free


def restart(settings: controlplane.Settings) -> None:
    """Restart the API server: every watch breaks, and none can go on where it was."""
    stop(settings)
    back(settings)


def back(settings: controlplane.Settings) -> None:
    """Start the API server again.

    The controllers begin anew too: they would wait for half a minute.
    """
    processes.stop(settings.folder / "run" / "kube-controller-manager.json")
    controlplane.start(settings)


async def test_a_deletion_that_no_watch_tells_of_is_found(
    world: World, control_plane: Any
) -> None:
    program = await world.operator(SHOAL_RELIST_SECONDS="2", **ALONE)
    await world.serve("one", "two")
    program.process.send_signal(signal.SIGSTOP)

    await asyncio.to_thread(restart, control_plane.settings)
    await world.api.delete("TrainedModel", "one")
    program.process.send_signal(signal.SIGCONT)

    async def listed() -> bool:
        return await world.config() == ["two"]

    await until(listed)
    await world.ready("TrainedModel", "two")
    assert await program.leads(), "it is the same process"


async def test_a_restart_of_the_api_server_is_lived_through(
    world: World, control_plane: Any
) -> None:
    program = await world.operator(SHOAL_RELIST_SECONDS="0.4", **ALONE)
    await world.serve("one")
    mark = await world.at_rest(program)

    await asyncio.to_thread(restart, control_plane.settings)
    await world.relisted(program, mark)

    assert world.audit.writes(mark) == []
    await world.api.create(bodies.model("two"))

    async def listed() -> bool:
        return await world.config() == ["one", "two"]

    await until(listed)
