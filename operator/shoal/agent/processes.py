"""The agent as a process: everything made, joined and stopped. Caller: `shoal agent`."""

import asyncio
import contextlib
import logging
import random
import signal
from datetime import UTC, datetime

from aiohttp import ClientSession, web

from shoal.agent import admin
from shoal.agent.accounts import Accounts
from shoal.agent.apis import Api
from shoal.agent.boards import Board
from shoal.agent.fetches import Fetcher
from shoal.agent.servers import Server
from shoal.agent.stores import Store
from shoal.agent.syncs import Syncs
from shoal.agent.watches import Watch
from shoal.agent.workers import Tools
from shoal.settings import AgentSettings

_LOG = logging.getLogger(__name__)
_TURNS = 32


async def run(settings: AgentSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession())
        server = Server(settings.server_url, settings.load_seconds)
        stack.push_async_callback(server.close)
        store = Store(settings.model_dir, settings.store_dir)
        await asyncio.to_thread(store.open)
        board = Board(lambda: datetime.now(UTC), settings.first_set_seconds)  # noqa: TID251 - the clock
        api = Api(session, settings.api_url, settings.namespace, settings.token_dir)
        syncs = _syncs(settings, api, store, server, board, session)
        stack.push_async_callback(syncs.stop)
        await _serve(stack, settings, board)
        watch = Watch(api, settings.model_config, settings.config_dir, syncs.apply)
        await _until(stopped, watch, syncs)
    _LOG.info("stopped")


def _syncs(
    settings: AgentSettings,
    api: Api,
    store: Store,
    server: Server,
    board: Board,
    session: ClientSession,
) -> Syncs:
    accounts = Accounts(
        api,
        settings.namespace,
        settings.service_account,
        settings.storage_secret,
        settings.environ,
    )
    tools = Tools(
        store=store,
        server=server,
        fetcher=Fetcher(store, accounts, session, settings.fetch_concurrency),
        board=board,
        turns=asyncio.Semaphore(_TURNS),
        load_slots=asyncio.Semaphore(settings.load_concurrency),
        server_up=asyncio.Event(),
        draw=random.random,
    )
    return Syncs(tools, settings.server_check_seconds)


async def _serve(stack: contextlib.AsyncExitStack, settings: AgentSettings, board: Board) -> None:
    runner = web.AppRunner(admin.make(board), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.admin_host, settings.admin_port).start()
    _LOG.info("agent of %s/%s", settings.namespace, settings.inference_service)


async def _until(stopped: asyncio.Event, watch: Watch, syncs: Syncs) -> None:
    """Run everything until `stopped`; the end of any part is a bug and ends the process."""
    async with asyncio.TaskGroup() as group:
        parts = [
            group.create_task(watch.run()),
            group.create_task(syncs.watch_server()),
            group.create_task(syncs.sweep()),
        ]
        await stopped.wait()
        for part in parts:
            part.cancel()
