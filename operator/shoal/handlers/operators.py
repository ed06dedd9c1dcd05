"""The operator as a process: elects, watches, reconciles, until told to stop.

```
 lease ──► config ──► Kopf's watches ──► inbox ──► store ──► relist ──► workers
                                           └─ keys ─► queue ──────────────┘
```

Workers begin after the first relist: a pass over half a store would unload models.
"""

import asyncio
import contextlib
import logging
import random
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from shoal.cluster import kinds
from shoal.cluster.agents import AgentFollower
from shoal.cluster.client import Client
from shoal.cluster.leases import Elector, LostLeaseError
from shoal.cluster.ports import ApiError
from shoal.cluster.store import Store
from shoal.cluster.streams import Streams
from shoal.handlers import admin, watches
from shoal.handlers.admin import Health
from shoal.handlers.inbox import Inbox
from shoal.handlers.watches import WatchesEndedError
from shoal.reconcile.configurations import Configuration
from shoal.reconcile.events import Recorder
from shoal.reconcile.queues import Queue
from shoal.reconcile.services import Reconciler
from shoal.settings import OperatorSettings

_log: Final = logging.getLogger(__name__)
_DEFINITIONS_SECONDS: Final = 0.5


def _now() -> datetime:
    """Read the clock: the one place of the operator that does."""
    return datetime.fromtimestamp(time.time(), UTC)


class _StoppedError(Exception):
    """Ends a task group: this process was told to stop."""


async def _end(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _StoppedError


class Operator:
    """Everything that one operator process holds."""

    def __init__(
        self, settings: OperatorSettings, client: Client, take_signals: Callable[[], None]
    ) -> None:
        self._take_signals = take_signals
        self._settings = settings
        self._client = client
        self._store = Store()
        self._streams = Streams()
        self._queue = Queue(random.random)
        self._inbox = Inbox(self._store, self._queue.add)
        self._agents = AgentFollower(self._queue.add)
        recorder = Recorder(client, _now)
        self._configuration = Configuration(settings, recorder, self._wake_all)
        self._reconciler = Reconciler(
            client, self._agents, self._store, self._configuration, recorder, _now
        )
        self._elector = Elector(client, settings.namespace, settings.identity, _now)
        self._leading = False
        self._synced = False

    async def run(self, stop: asyncio.Event) -> None:
        """Serve probes, lead when it is this one's turn, and end when told to.

        Raises:
            ExceptionGroup: what made going on senseless; the process is to be restarted.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._client.close)
            stack.push_async_callback(self._step_down)
            runner = web.AppRunner(admin.application(self._health), access_log=None)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, self._settings.admin_host, self._settings.admin_port).start()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._lead())
                    await _end(stop)
            except* _StoppedError:
                _log.info("told to stop")

    async def _lead(self) -> None:
        """Wait for the lease, then work for ever."""
        if self._settings.leader_election:
            await self._elector.acquire()
        self._leading = True
        namespaces = self._settings.watch_namespaces
        async with asyncio.TaskGroup() as tasks:
            if self._settings.leader_election:
                tasks.create_task(self._elector.hold())
            tasks.create_task(self._configuration.follow(self._client))
            await self._configuration.known()
            await self._definitions()
            handlers = watches.registry(self._inbox, self._client, self._streams)
            identity = self._settings.identity
            tasks.create_task(watches.run(handlers, namespaces, identity, self._take_signals))
            await watches.opened(self._streams)
            await self._inbox.relist(self._client, namespaces)
            self._synced = True
            _log.info("in step with the cluster: %d services", len(self._store.services()))
            self._wake_all()
            for _ in range(self._settings.workers):
                tasks.create_task(self._queue.work(self._reconciler.reconcile))
            relist = self._settings.relist_seconds
            tasks.create_task(self._inbox.relist_for_ever(self._client, namespaces, relist))

    async def _definitions(self) -> None:
        """Return once the API server lists every kind: Kopf looks once, and only at its start."""
        told = ""
        while missing := [k.plural for k in kinds.WATCHED if not await self._client.serves(k)]:
            if told != (told := ", ".join(missing)):
                _log.warning("waiting for the definitions of %s", told)
            await asyncio.sleep(_DEFINITIONS_SECONDS)

    async def _step_down(self) -> None:
        await self._agents.close()
        if self._leading and self._settings.leader_election:
            with contextlib.suppress(ApiError):  # the lease runs out by itself
                await self._elector.release()

    def _wake_all(self) -> None:
        for key in self._store.services():
            self._queue.add(key)

    def _health(self) -> Health:
        return Health(
            leading=self._leading,
            synced=self._synced,
            watch_ages=self._streams.ages(time.monotonic()),
            oldest_key=self._queue.oldest_seconds(),
            api_contact_age=(_now() - self._elector.contact).total_seconds(),
        )


async def run(settings: OperatorSettings) -> int:
    """Run one operator until a signal ends it.

    Returns:
        The process's exit code: 1 when it cannot go on and is to be started again.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

    take_signals()
    ends: list[BaseException] = []
    try:
        await Operator(settings, await Client.connect(), take_signals).run(stop)
    except* (ApiError, LostLeaseError, WatchesEndedError) as group:
        ends.append(group)
    for end in ends:
        _log.error("ending, to be started again: %s", "; ".join(_words(end)))
    return 1 if ends else 0


def _words(error: BaseException) -> list[str]:
    """Say what an error says, or each of those in a group."""
    if isinstance(error, BaseExceptionGroup):
        return [word for inner in error.exceptions for word in _words(inner)]
    return [str(error)]
