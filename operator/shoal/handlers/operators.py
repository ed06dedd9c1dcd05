"""The operator as a process: elects, watches, reconciles, until told to stop.

```
 able? ──► lease ──► config ──► Kopf's watches ──► inbox ──► store ──► relist ──► workers
                                                     └─ keys ─► queue ──────────────┘
```

Before it leads it waits for whatever the API server does not grant yet; a leader that cannot
go on ends, so that another may lead, and waits in its next life. So one fault costs one end.

Workers begin after the first relist: a pass over half a store would unload models.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final

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
from shoal.handlers.watches import Scope, WatchesEndedError
from shoal.reconcile import installs
from shoal.reconcile.configurations import Configuration
from shoal.reconcile.events import Recorder
from shoal.reconcile.queues import Queue
from shoal.reconcile.services import Reconciler
from shoal.settings import OperatorSettings

_log: Final = logging.getLogger(__name__)
_ABILITY_SECONDS: Final = 0.5
_LONGEST_ABILITY_SECONDS: Final = 5.0
_NEWCOMER_SECONDS: Final = 10.0
_LEAVE_SECONDS: Final = 3.0


def _now() -> datetime:
    """Read the clock: the one place of the operator that does."""
    return datetime.fromtimestamp(time.time(), UTC)


def _timer() -> float:
    """Read the seconds since the machine's start, those that it slept through included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


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
        self._elector = Elector(client, settings.namespace, settings.identity, _now, _timer)
        if settings.leader_election:
            client.may_write = self._elector.may_write
        self._able = False
        self._runtimes = installs.read(settings.runtimes_dir)
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
        await self._ability()
        if self._settings.leader_election:
            await self._elector.acquire()
        self._leading = True
        namespaces = self._settings.watch_namespaces
        async with asyncio.TaskGroup() as tasks:
            if self._settings.leader_election:
                tasks.create_task(self._elector.hold())
            tasks.create_task(self._configuration.follow(self._client))
            tasks.create_task(self._configuration.bundle.follow(self._client))
            await self._configuration.known()
            await self._optional()
            watched = self._store.watched
            handlers = watches.registry(self._inbox, self._client, self._streams, watched)
            scope = Scope(namespaces, self._settings.identity, self._settings.silence_seconds)
            tasks.create_task(watches.run(handlers, scope, self._take_signals))
            await watches.opened(self._streams, watched, namespaces)
            await self._inbox.relist(self._client, namespaces)
            brought = (self._client, self._store, self._runtimes, self._queue.add)
            await installs.apply(*brought)
            self._synced = True
            _log.info("in step with the cluster: %d services", len(self._store.services()))
            self._wake_all()
            tasks.create_task(self._newcomers())
            tasks.create_task(installs.keep(*brought))
            for _ in range(self._settings.workers):
                tasks.create_task(self._queue.work(self._reconciler.reconcile))
            tasks.create_task(
                self._inbox.relist_for_ever(
                    self._client, namespaces, self._settings.relist_seconds, self._streams.gap
                )
            )

    async def _ability(self) -> None:
        """Return once the API server has every kind, and lets us list it.

        Kopf looks for kinds once, at its start, and its end ends the process.
        """
        told, pause = "", _ABILITY_SECONDS
        while lacking := await self._lacking():
            if told != (told := lacking):
                _log.warning("waiting: %s", told)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_ABILITY_SECONDS, 2 * pause)
        self._able = True

    async def _optional(self) -> None:
        """Watch the optional kinds that the API server has by now."""
        for kind in kinds.OPTIONAL:
            if await self._client.serves(kind):
                self._store.watch_too(kind)

    async def _newcomers(self) -> None:
        """End when an optional kind has come, which only a new start can watch.

        Raises:
            WatchesEndedError: one has come.
        """
        missing = [kind for kind in kinds.OPTIONAL if kind not in self._store.watched]
        while missing:
            await asyncio.sleep(_NEWCOMER_SECONDS)
            for kind in missing:
                with contextlib.suppress(ApiError):
                    if await self._client.serves(kind):
                        raise WatchesEndedError(f"{kind.plural} of {kind.group} are served now")

    async def _lacking(self) -> str:
        """Say what is not there yet; nothing when all is."""
        places = self._settings.watch_namespaces or ("",)
        try:
            missing = [k.plural for k in kinds.WATCHED if not await self._client.serves(k)]
            if missing:
                return f"the definitions of {', '.join(missing)} are not there"
            for kind in kinds.WATCHED:
                for namespace in places:
                    await self._client.glance(kind, namespace)
        except ApiError as error:
            return str(error)
        return ""

    async def _step_down(self) -> None:
        await self._agents.close()
        if self._leading and self._settings.leader_election:
            with contextlib.suppress(ApiError, TimeoutError):  # the lease runs out by itself
                await self._elector.release()

    def _wake_all(self) -> None:
        for key in self._store.services():
            self._queue.add(key)

    def _health(self) -> Health:
        return Health(
            able=self._able,
            leading=self._leading,
            synced=self._synced,
            watch_ages=self._streams.ages(time.monotonic()),
            oldest_key=self._queue.oldest_seconds(),
            api_contact_age=_timer() - self._elector.contact,
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
    code = 1 if ends else 0
    loop.set_exception_handler(unclosed)
    _leave(code)
    return code


def unclosed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell in a line that something of Kopf's was not closed when the process ended.

    Its watches are generators; one that reads just then may refuse to be closed.
    """
    if context.get("asyncgen") is None:
        loop.default_exception_handler(context)
    else:
        _log.info("ended with an open watch: %s", context.get("exception"))


def _leave(code: int) -> None:
    """Let the process end in a few seconds, whatever still runs.

    The end of the loop waits for every task, and Kopf's may swallow their cancellation: they
    then wait for a login that nobody makes.
    """
    last = threading.Timer(_LEAVE_SECONDS, os._exit, (code,))
    last.daemon = True
    last.start()


def _words(error: BaseException) -> list[str]:
    """Say what an error says, or each of those in a group."""
    if isinstance(error, BaseExceptionGroup):
        return [word for inner in error.exceptions for word in _words(inner)]
    return [str(error)]
