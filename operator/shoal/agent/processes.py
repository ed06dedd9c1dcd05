"""The agent as a process: everything made, joined and stopped. Caller: `shoal agent`."""

import asyncio
import contextlib
import logging
import random
import signal
from datetime import UTC, datetime

from aiohttp import web

from shoal.agent import admin
from shoal.agent.accounts import Accounts, Identity
from shoal.agent.apis import Api
from shoal.agent.boards import Board
from shoal.agent.fetches import Bounds, Fetcher
from shoal.agent.lanes import Lanes
from shoal.agent.servers import Server
from shoal.agent.spaces import Space
from shoal.agent.stores import Store
from shoal.agent.syncs import Syncs
from shoal.agent.watches import Watch
from shoal.agent.workers import Tools
from shoal.settings import AgentSettings
from shoal.storage.limits import Limits
from shoal.storage.sessions import Sessions

_LOG = logging.getLogger(__name__)
_TURNS = 32
_NEWCOMERS = 128  # that wait for their first download; a thousand would take 4 MiB


async def run(settings: AgentSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(Sessions())
        server = Server(settings.server_url, settings.load_seconds)
        stack.push_async_callback(server.close)
        board = Board(lambda: datetime.now(UTC), settings.first_set_seconds)  # noqa: TID251 - the clock
        # From here on it is alive: a large store takes longer to open than a kubelet waits.
        await _serve(stack, settings, board)
        store = Store(settings.model_dir, settings.store_dir)
        await asyncio.to_thread(store.open)
        api = Api(
            sessions.get(),
            settings.api_url,
            settings.namespace,
            settings.token_dir,
            silence_seconds=settings.silence_seconds,
        )
        space = Space(store, settings.store_bytes)
        bounds = Bounds(settings.fetch_concurrency, space, Limits.told(settings.downloads))
        identity = Identity(settings.namespace, settings.service_account, settings.storage_secret)
        accounts = Accounts(api, identity, settings.environ)
        fetcher = Fetcher(store, accounts, sessions, bounds)
        syncs = _syncs(settings, store, server, board, fetcher)
        stack.push_async_callback(syncs.stop)
        watch = Watch(api, settings.inference_service, settings.config_dir, syncs.apply)
        await _until(stopped, watch, syncs, space)
    _LOG.info("stopped")


def _syncs(
    settings: AgentSettings, store: Store, server: Server, board: Board, fetcher: Fetcher
) -> Syncs:
    tools = Tools(
        store=store,
        server=server,
        fetcher=fetcher,
        board=board,
        turns=asyncio.Semaphore(_TURNS),
        newcomers=asyncio.Semaphore(_NEWCOMERS),
        lanes=Lanes(settings.load_concurrency, settings.load_patience_seconds),
        server_up=asyncio.Event(),
        draw=random.random,
    )
    return Syncs(tools, settings.server_check_seconds)


async def _serve(stack: contextlib.AsyncExitStack, settings: AgentSettings, board: Board) -> None:
    runner = web.AppRunner(
        admin.make(board), access_log=None, shutdown_timeout=0.5, handler_cancellation=True
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.admin_host, settings.admin_port).start()
    _LOG.info("agent of %s/%s", settings.namespace, settings.inference_service)


async def _until(stopped: asyncio.Event, watch: Watch, syncs: Syncs, space: Space) -> None:
    """Run everything until `stopped`; the end of any part is a bug and ends the process."""
    async with asyncio.TaskGroup() as group:
        parts = [
            group.create_task(watch.run()),
            group.create_task(syncs.watch_server()),
            group.create_task(space.watch()),
        ]
        await stopped.wait()
        for part in parts:
            part.cancel()
