"""Probes and metrics of the operator, on a port of their own.

`/livez` fails when only a restart helps: a watch stream without a sign of life, or a key
that no worker takes. `/readyz` tells whether this operator does its part: leading with a
complete store, or standing by with the API server in reach.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import prometheus_client
from aiohttp import web

_LONGEST_SILENCE_SECONDS: Final = 180.0  # a stream that gives no bookmark is reopened after 70 s
_LONGEST_WAIT_SECONDS: Final = 300.0
_LONGEST_AWAY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes judge by; ages and lags are seconds."""

    able: bool  # the API server has answered for everything that leading takes
    leading: bool
    synced: bool
    watch_ages: dict[str, float]
    oldest_key: float
    api_contact_age: float

    def is_live(self) -> bool:
        """Whether a restart would not help."""
        oldest_sign = max(self.watch_ages.values(), default=0.0)
        return oldest_sign < _LONGEST_SILENCE_SECONDS and self.oldest_key < _LONGEST_WAIT_SECONDS

    def is_ready(self) -> bool:
        """Whether this operator does its part."""
        stands_by = self.able and self.api_contact_age < _LONGEST_AWAY_SECONDS
        return self.is_live() and (self.synced if self.leading else stands_by)


def application(health: Callable[[], Health]) -> web.Application:
    """Make the web application; `health` is asked anew for each probe."""

    async def livez(_request: web.Request) -> web.Response:
        now = health()
        return web.json_response(asdict(now), status=200 if now.is_live() else 503)

    async def readyz(_request: web.Request) -> web.Response:
        now = health()
        return web.json_response(asdict(now), status=200 if now.is_ready() else 503)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=prometheus_client.generate_latest(),
            headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
        )

    made = web.Application()
    made.router.add_get("/livez", livez)
    made.router.add_get("/readyz", readyz)
    made.router.add_get("/metrics", metrics)
    return made
