"""Kopf, as far as it is used: one `on.event` per kind, which only fills the inbox.

No create, update, resume or delete handlers, daemons, timers or indices: Kopf then writes
no annotation and no finalizer, and forgets nothing that we rely on (docs/adr/0001).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import kopf

from shoal.cluster import kinds
from shoal.cluster.client import Client
from shoal.cluster.kinds import Kind
from shoal.cluster.streams import Streams
from shoal.handlers.inbox import Inbox

_PAGE: Final = 500
_OPEN_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05


class WatchesEndedError(Exception):
    """Nothing is watched any more: the process is to be restarted."""


def registry(inbox: Inbox, client: Client, streams: Streams) -> kopf.OperatorRegistry:
    """Make the handlers of all watched kinds, and the login they use."""
    handlers = kopf.OperatorRegistry()
    for kind in kinds.WATCHED:
        kopf.on.event(
            kind.group, kind.version, kind.plural, id=kind.kind.lower(), registry=handlers
        )(_receiver(inbox, kind))

    @kopf.on.login(id="shoal", registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401 - Kopf's signature
        return kopf.AiohttpSession(server=client.server, aiohttp_session=client.session(streams))

    return handlers


def _receiver(inbox: Inbox, kind: Kind) -> Callable[..., Any]:
    async def receive(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - Kopf's
        body = dict(event["object"])
        body.update(apiVersion=kind.api_version, kind=kind.kind)
        inbox.receive(kind, event["type"], body)

    return receive


def settings() -> kopf.OperatorSettings:
    """Make Kopf's settings; facts behind each are in docs/adr/0001."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.watching.chunk_size = _PAGE
    made.execution.max_workers = 1
    for kind in kinds.WATCHED:
        if kind.selector:
            made.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.selector
    return made


async def opened(streams: Streams, seconds: float = _OPEN_SECONDS) -> None:
    """Return once every kind is watched.

    Raises:
        WatchesEndedError: one is not, after that many seconds: Kopf did not find it.
    """
    plurals = [kind.plural for kind in kinds.WATCHED]
    try:
        async with asyncio.timeout(seconds):
            while streams.missing(plurals):  # noqa: ASYNC110 - Kopf tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        missing = ", ".join(streams.missing(plurals))
        raise WatchesEndedError(f"nothing watches {missing}") from None


async def run(
    handlers: kopf.OperatorRegistry,
    namespaces: tuple[str, ...],
    identity: str,
    on_started: Callable[[], None],
) -> None:
    """Watch until cancelled.

    Args:
        handlers: what to watch, and whom to tell.
        namespaces: where to watch; none means everywhere.
        identity: this process among its peers; Kopf's own needs a user name, and the user of
            a container often has none.
        on_started: called when Kopf has taken the process's signals, to take them back:
            its own end would wait for tasks of ours that it takes for its own.

    Raises:
        WatchesEndedError: Kopf ended by itself.
        Exception: an error that Kopf cannot mend.
    """
    logging.getLogger("kopf").setLevel(logging.WARNING)  # below, it tells each event
    ours = asyncio.all_tasks()
    me: Any = identity  # Kopf's type for it is private
    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=settings(),
        clusterwide=not namespaces,
        namespaces=namespaces,
        standalone=True,
        identity=me,
    )
    on_started()
    await kopf.run_tasks(tasks, ignored=ours)
    raise WatchesEndedError("Kopf ended without being told to")
