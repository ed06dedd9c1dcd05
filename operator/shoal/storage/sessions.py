"""The HTTP session of a process, for the stores that obstore does not know.

aiohttp takes a fifth of a second to import, a third of what the init container of a small model
lives: it is imported, and the session made, when the first store asks for it.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientSession


class Sessions:
    """Has one session, from the first who wants it until the end of the `async with` block."""

    def __init__(self, make: "Callable[[], ClientSession] | None" = None) -> None:
        self._make = make or _make
        self._made: ClientSession | None = None

    def get(self) -> "ClientSession":
        """Give the session, within a running event loop."""
        if self._made is None:
            self._made = self._make()
        return self._made

    async def __aenter__(self) -> Self:
        """Begin the block; nothing is made yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session where one was made."""
        if self._made is not None:
            await self._made.close()


def _make() -> "ClientSession":
    from aiohttp import ClientSession  # noqa: PLC0415 - see above

    return ClientSession()
