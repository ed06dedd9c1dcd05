"""What requests to stores have in common that are sent without obstore.

Callers: azurerequests, s3requests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import ClientError, ClientTimeout

CHUNK: Final = 512 * 1024
TIMEOUT: Final = ClientTimeout(total=None, sock_connect=5, sock_read=60)


class RequestError(OSError):
    """A request failed; the text is of the form that `refusals` reads."""


@contextmanager
def reaching() -> Iterator[None]:
    """Say why a store is not reached, in words that `refusals` reads.

    Raises:
        RequestError: it is not, or is no longer.
    """
    try:
        yield
    except (ClientError, TimeoutError) as error:
        raise RequestError(_cause(error)) from error


def _cause(error: Exception) -> str:
    # aiohttp's own text repeats the address; the cause says what happened.
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    return str(cause or error) or type(error).__name__
