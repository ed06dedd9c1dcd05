"""Kopf, as far as it is used: one `on.event` per kind, which only fills the inbox.

No create, update, resume or delete handlers, daemons, timers or indices: Kopf then writes
no annotation and no finalizer, and forgets nothing that we rely on (docs/adr/0001).
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import kopf

from shoal.cluster import kinds
from shoal.cluster.client import Client
from shoal.cluster.kinds import Kind
from shoal.cluster.streams import Streams
from shoal.handlers.inbox import Inbox

_PAGE: Final = 500
_REQUEST_SECONDS: Final = 30.0
_BACKOFFS: Final = (1, 1, 2, 3, *[5] * 10)
_OPEN_SECONDS: Final = 30.0
_LIST_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 0.05
_END_SECONDS: Final = 2.0
_LOGIN_SECONDS: Final = 1.0


class WatchesEndedError(Exception):
    """Nothing is watched any more: the process is to be restarted."""


def registry(
    inbox: Inbox, client: Client, streams: Streams, watched: Iterable[Kind]
) -> kopf.OperatorRegistry:
    """Make the handlers of all watched kinds, and the login they use."""
    handlers = kopf.OperatorRegistry()
    for kind in watched:
        kopf.on.event(
            kind.group, kind.version, kind.plural, id=kind.kind.lower(), registry=handlers
        )(_receiver(inbox, kind))

    pauses = itertools.chain([0.0], itertools.repeat(_LOGIN_SECONDS))

    @kopf.on.login(id="shoal", registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401 - Kopf's signature
        # Kopf comes back at once whenever the API server does not know us.
        await asyncio.sleep(next(pauses))
        return kopf.AiohttpSession(server=client.server, aiohttp_session=client.session(streams))

    return handlers


def _receiver(inbox: Inbox, kind: Kind) -> Callable[..., Any]:
    async def receive(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - Kopf's
        body = dict(event["object"])
        body.update(apiVersion=kind.api_version, kind=kind.kind)
        inbox.receive(kind, event["type"], body)

    return receive


class _NoDifferences(kopf.DiffBaseStorage):
    """Spares Kopf the copy of every object that it would compare: nothing here asks it to."""

    def build(
        self,
        *,
        body: kopf.Body,  # noqa: ARG002 - Kopf's signature
        extra_fields: object = None,  # noqa: ARG002
    ) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> None:
        """Find nothing: nothing was stored."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing: our objects carry no mark of Kopf's."""


def settings(silence: float) -> kopf.OperatorSettings:
    """Make Kopf's settings; facts behind each are in docs/adr/0001.

    A stream that is silent for `silence` seconds is reopened. A refused request is repeated
    for a minute before the process ends; the API server that comes back is heard soon.
    """
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.watching.chunk_size = _PAGE
    made.watching.inactivity_timeout = silence
    made.networking.request_timeout = _REQUEST_SECONDS
    made.networking.error_backoffs = _BACKOFFS
    made.execution.max_workers = 1
    made.persistence.diffbase_storage = _NoDifferences()
    for kind in (*kinds.WATCHED, *kinds.OPTIONAL):
        if kind.selector:
            made.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.selector
    return made


async def opened(
    streams: Streams,
    watched: Iterable[Kind],
    namespaces: tuple[str, ...] = (),
    seconds: float = _OPEN_SECONDS,
) -> None:
    """Return once every kind is watched in each of the namespaces; none means everywhere.

    A list that was begun may take its time: tens of thousands of objects do.

    Raises:
        WatchesEndedError: one was not begun after that many seconds: Kopf did not find it.
    """
    paths = [kind.path(place) for kind in watched for place in namespaces or ("",)]
    await _none(streams.unknown, paths, seconds)
    await _none(streams.missing, paths, _LIST_SECONDS)


async def _none(left: Callable[[list[str]], list[str]], paths: list[str], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while left(paths):  # noqa: ASYNC110 - Kopf tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise WatchesEndedError(f"nothing watches {', '.join(left(paths))}") from None


@dataclass(frozen=True)
class Scope:
    """What a watching process is told; `namespaces` empty means everywhere."""

    namespaces: tuple[str, ...]
    identity: str  # among its peers; Kopf's own needs a user name, which containers often lack
    silence: float  # seconds after which a stream is taken for dead


async def run(
    handlers: kopf.OperatorRegistry, scope: Scope, on_started: Callable[[], None]
) -> None:
    """Watch until cancelled.

    Args:
        handlers: what to watch, and whom to tell.
        scope: where, and how.
        on_started: called when Kopf has taken the process's signals, to take them back:
            it would wait for tasks of ours that it takes for its own.

    Raises:
        WatchesEndedError: Kopf, or a part of it, ended: what it watched is watched no more.
    """
    logging.getLogger("kopf").setLevel(logging.WARNING)  # below, it tells each event
    me: Any = scope.identity  # Kopf's type for it is private
    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=settings(scope.silence),
        clusterwide=not scope.namespaces,
        namespaces=scope.namespaces,
        standalone=True,
        identity=me,
    )
    on_started()
    try:
        # Not kopf.run_tasks: when one watch has failed, it waits for the others, of which some
        # wait in turn for a login that nobody makes any more.
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_END_SECONDS)
    raise WatchesEndedError("; ".join(_words(task) for task in ended))


def _words(task: asyncio.Task[None]) -> str:
    error = None if task.cancelled() else task.exception()
    words = f": {type(error).__name__}: {error}" if error else ""
    return f"a part of Kopf ended, {task.get_name()}{words}"
