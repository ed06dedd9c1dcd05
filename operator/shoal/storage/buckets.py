"""An open bucket, what is found in it, and how its client behaves. Callers: the stores."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shoal.storage import credentials

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

    from shoal.storage.s3requests import Requests

# A client costs milliseconds of CPU and has its own connections, so the last few are kept.
CLIENTS = 4
# A request may take long on a slow link, but not be silent for long.
CLIENT: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "6h"}
RETRIES: "RetryConfig" = {"max_retries": 1, "retry_timeout": timedelta(seconds=5)}


def trusting(authority: str) -> "ClientConfig":
    """Have a client trust an authority's certificates too; "" is none."""
    return {**CLIENT, "root_certificate": authority.encode()} if authority else CLIENT


@dataclass(frozen=True, slots=True)
class Item:
    """One object, and the path below the model's folder that it is to have."""

    key: str
    path: str
    size: int
    version: str
    etag: str


Read = Callable[[Item, tuple[int, int]], AsyncGenerator[bytes, None]]  # the bytes of a span


@dataclass(frozen=True, slots=True)
class Access:
    """How a store is asked, as messages say it.

    `hint` says what to do where there are no credentials, `trust` where a certificate's
    authority is not known.
    """

    endpoint: str
    origin: str
    identity: str
    hint: str = ""
    trust: str = ""

    @property
    def asked(self) -> str:
        """Say whose credentials were used."""
        known = {
            credentials.NONE: "asked without credentials",
            credentials.ENVIRONMENT: "asked with credentials of the environment",
        }
        return known.get(self.origin, f"asked with {self.origin}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket(Access):
    """An open bucket; `spare` makes another client, for what the first refuses to do."""

    store: "S3Store | GCSStore | AzureStore"
    spare: "Callable[[], Requests] | None" = None


@dataclass(frozen=True, slots=True)
class Found:
    """What an address names now."""

    place: str  # where it is, when that is more than the address says
    items: tuple[Item, ...]
    is_single: bool
    read: Read
