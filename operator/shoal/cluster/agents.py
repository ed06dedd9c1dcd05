"""Follows the agents of all pods: what each said last, or that it gives no answer.

One task a pod keeps a long poll open, so that a change is known as soon as it happens. While
nothing changes the agent sends a blank line each second: one that hangs, or that a network
policy cuts off, is as silent as a dead one, and is known to be so within _SILENCE_SECONDS. The
reconcile tells which pods there are and reads what they said.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Final

import aiohttp

from shoal import modelstates, names
from shoal.cluster import metrics
from shoal.cluster.store import Key
from shoal.modelstates import Report

_log: Final = logging.getLogger(__name__)
_WAIT_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 4.0  # of an agent that sends signs of life, or owes an answer at once
# A connection may break and the agent be well; a second failure at once after it says more.
_RETRY_SECONDS: Final = 0.1
_LONGEST_RETRY_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 10.0  # for which an answer may take from its first byte to its last
_LARGEST_ANSWER: Final = 32 * 1024 * 1024  # bytes; a hundred thousand models are fewer
_Followed = tuple[Key, str, str]  # a service, its pod's uid and address


class AgentFollower:
    """Satisfies `ports.Agents`; `on_change` hears which service's states changed."""

    def __init__(
        self, on_change: Callable[[Key], None], *, port: int = names.AGENT_ADMIN_PORT
    ) -> None:
        self._on_change = on_change
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._tasks: dict[_Followed, asyncio.Task[None]] = {}
        self._reports: dict[str, Report] = {}
        self._silent: set[str] = set()
        self._beating: set[str] = set()  # agents that send signs of life

    def report(self, pod_uid: str) -> Report | None:
        """Return the agent's last report; None while it gives no answer."""
        return self._reports.get(pod_uid)

    def is_heard(self, pod_uid: str) -> bool:
        """Tell whether the agent has answered, or long enough has not."""
        return pod_uid in self._reports or pod_uid in self._silent

    def follow(self, service: Key, pods: Mapping[str, str]) -> None:
        """Follow these pods (uid to address) of a service, and those before until `leave`."""
        wanted = {(service, uid, address) for uid, address in pods.items()}
        for moved in [held for held in self._of(service) if pods.get(held[1], held[2]) != held[2]]:
            self._drop(moved)
        for new in wanted - self._tasks.keys():
            self._tasks[new] = asyncio.create_task(self._poll(*new), name=f"agent {new[2]}")
        self._count()

    def leave(self, service: Key, but: Collection[str]) -> None:
        """Follow no pods of a service but these any more: the others' agents let them end."""
        for gone in [held for held in self._of(service) if held[1] not in but]:
            self._drop(gone)
        self._count()

    async def close(self) -> None:
        """Stop following."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._session:
            await self._session.close()

    def _of(self, service: Key) -> list[_Followed]:
        return [held for held in self._tasks if held[0] == service]

    def _drop(self, held: _Followed) -> None:
        self._tasks.pop(held).cancel()
        self._reports.pop(held[1], None)
        self._silent.discard(held[1])
        self._beating.discard(held[1])

    async def _poll(self, service: Key, uid: str, address: str) -> None:
        """Ask one agent for ever; silence, or two failures in a row, is no answer."""
        failures = 0
        while True:
            try:
                await self._ask(service, uid, address)
                failures = 0
            except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
                failures += 1
                _log.debug("agent at %s: %s", address, error)
                if failures > 1 or isinstance(error, TimeoutError):
                    self._silence(service, uid)
                pause = _RETRY_SECONDS * 2 ** min(failures - 1, 10)
                await asyncio.sleep(min(pause, _LONGEST_RETRY_SECONDS))

    def _silence(self, service: Key, uid: str) -> None:
        if uid in self._silent:
            return
        self._silent.add(uid)
        self._reports.pop(uid, None)
        self._count()
        self._on_change(service)

    async def _ask(self, service: Key, uid: str, address: str) -> None:
        held = self._reports.get(uid)
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}/v1/states"
        query = {"after": held.cursor, "wait": str(_WAIT_SECONDS), "changes": "1"} if held else {}
        may_be_silent = held is not None and uid not in self._beating
        silence = _WAIT_SECONDS + _SILENCE_SECONDS if may_be_silent else _SILENCE_SECONDS
        timeout = aiohttp.ClientTimeout(
            total=(_WAIT_SECONDS if held else 0) + _ANSWER_SECONDS,
            sock_connect=_CONNECT_SECONDS,
            sock_read=silence,
        )
        asking = self._connected().get(url, params=query, timeout=timeout, allow_redirects=False)
        async with asking as response:
            text = await _text(response)
            beats = names.AGENT_BEAT_HEADER in response.headers
            (self._beating.add if beats else self._beating.discard)(uid)
            report = modelstates.merge(held, modelstates.decode(text))
        if held is None or report.cursor != held.cursor:
            self._reports[uid] = report
            self._silent.discard(uid)
            self._count()
            self._on_change(service)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self._session

    def _count(self) -> None:
        metrics.AGENTS_FOLLOWED.set(len(self._tasks))
        unreachable = sum(1 for _, uid, _ in self._tasks if uid not in self._reports)
        metrics.AGENTS_UNREACHABLE.set(unreachable)


async def _text(response: aiohttp.ClientResponse) -> str:
    """Read an answer whole, of whoever it is: any pod with the labels of a service's is asked.

    Raises:
        ValueError: it is no answer of an agent, or too long for one.
    """
    if response.status != HTTPStatus.OK:
        raise ValueError(f"answers with HTTP {response.status}")
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > _LARGEST_ANSWER:
            raise ValueError(f"answers with more than {_LARGEST_ANSWER} bytes")
        parts.append(part)
    return b"".join(parts).decode()
