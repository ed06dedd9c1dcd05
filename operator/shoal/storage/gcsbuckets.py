"""Buckets of Google Cloud Storage. Caller: transfers."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import GCSStore

from shoal.reasons import Reason
from shoal.storage import buckets, failures, uris
from shoal.storage.authorities import Authorities
from shoal.storage.buckets import Bucket
from shoal.storage.credentials import GcsOptions
from shoal.storage.failures import FetchError, Kind
from shoal.storage.uris import Location

if TYPE_CHECKING:
    from obstore.store import ClientConfig, GCSConfig


def make(location: Location, options: GcsOptions, trusted: Authorities, hint: str = "") -> Bucket:
    """Take the client of a Google Cloud Storage bucket; nothing is asked yet.

    Raises:
        FetchError: the key is not usable.
    """
    identity = "anonymous access"
    endpoint = options.endpoint
    if options.key:
        key = _key(options)
        identity = str(key.get("client_email", "its key"))
        endpoint = str(key.get("gcs_base_url", "")) or endpoint
    elif options.key_file:
        identity = "the key file"
    elif options.ambient:
        identity = "the pod's identity"
    try:
        store = _store(location.bucket, options, endpoint, trusted.text)
    except (BaseError, ValueError) as error:
        message = f"{options.origin}: {failures.first_line(error)}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error
    shown = uris.redact(endpoint) or "https://storage.googleapis.com"
    return Bucket(shown, options.origin, identity, hint, trusted.trust, store=store)


@lru_cache(maxsize=buckets.CLIENTS)
def _store(bucket: str, options: GcsOptions, endpoint: str, authority: str) -> GCSStore:
    config: GCSConfig = {}
    if options.key:
        config["service_account_key"] = options.key
    elif options.key_file:
        config["application_credentials"] = options.key_file
    elif not options.ambient:
        config["skip_signature"] = True
    if endpoint:
        config["base_url"] = endpoint
    client: ClientConfig = {**buckets.trusting(authority), "allow_http": True}
    return GCSStore(bucket, config=config, client_options=client, retry_config=buckets.RETRIES)


def _key(options: GcsOptions) -> dict[str, Any]:
    try:
        key = json.loads(options.key)
    except ValueError as error:
        message = f"{options.origin}: gcloud-application-credentials.json is no JSON: {error}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error
    if not isinstance(key, dict):
        message = f"{options.origin}: gcloud-application-credentials.json is no object"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)
    return key
