"""Containers of Azure Blob Storage. Caller: transfers."""

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore

from shoal.reasons import Reason
from shoal.storage import buckets, failures, uris
from shoal.storage.authorities import Authorities
from shoal.storage.buckets import Bucket
from shoal.storage.credentials import AzureOptions
from shoal.storage.failures import FetchError, Kind
from shoal.storage.uris import Location

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig


def make(
    location: Location, options: AzureOptions, trusted: Authorities, hint: str = ""
) -> Bucket:
    """Take the client of a container; nothing is asked yet.

    Raises:
        FetchError: nothing tells the account, or the key is not usable.
    """
    options = options.at(location.account, urlsplit(location.uri).query)
    if not options.account:
        message = (
            f"{location.shown}: nothing names the storage account; write it as "
            f"https://ACCOUNT.blob.core.windows.net/{location.bucket}/…, or give the Secret "
            "the key AZURE_STORAGE_ACCOUNT_NAME"
        )
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, message)
    if options.client_secret and not (options.client_id and options.tenant):
        message = (
            f"{options.origin}: AZURE_CLIENT_SECRET needs AZURE_CLIENT_ID and AZURE_TENANT_ID "
            "beside it"
        )
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)
    try:
        store = _store(location.bucket, options, trusted.text)
    except (BaseError, ValueError) as error:
        message = f"{options.origin}: {failures.first_line(error)}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error
    shown = uris.redact(options.endpoint) or f"https://{options.account}.blob.core.windows.net"
    return Bucket(shown, options.origin, options.identity, hint, trusted.trust, store=store)


@lru_cache(maxsize=buckets.CLIENTS)
def _store(container: str, options: AzureOptions, authority: str) -> AzureStore:
    config: AzureConfig = {"account_name": options.account, **_login(options)}
    if options.endpoint:
        config["endpoint"] = options.endpoint
    client: ClientConfig = {**buckets.trusting(authority), "allow_http": True}
    return AzureStore(
        container, config=config, client_options=client, retry_config=buckets.RETRIES
    )


def _login(options: AzureOptions) -> "AzureConfig":
    """Take one way to log in: with several, the library would choose."""
    if options.anonymous:
        return {"skip_signature": True}
    if options.token:
        return {"token": options.token}
    if options.key:
        return {"account_key": options.key}
    if options.sas:
        return {"sas_key": options.sas}
    if options.client_secret:
        return {
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "tenant_id": options.tenant,
        }
    return {}
