"""Services of clouds that cannot be had on a test machine: small servers that say what they must.

They check what they are sent as far as a test says; they are no proof of what the real ones do.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from cluster.certificates import Pair
from support.closings import closed

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer, tls: Pair | None = None) -> AsyncIterator[str]:
    """Serve every request with `answer`; yield the URL."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
    application = web.Application()
    sockets = set()

    async def note(request: web.Request) -> web.StreamResponse:
        sockets.add(request.get_extra_info("socket"))
        return await answer(request)

    application.router.add_route("*", "/{tail:.*}", note)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await closed(sockets)
