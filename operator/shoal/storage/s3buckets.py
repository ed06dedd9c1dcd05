"""Buckets behind the API of Amazon S3. Caller: transfers."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from obstore.exceptions import BaseError
from obstore.store import S3Store

from shoal.reasons import Reason
from shoal.storage import buckets, credentials, failures
from shoal.storage.authorities import Authorities
from shoal.storage.buckets import Bucket
from shoal.storage.credentials import S3Options
from shoal.storage.failures import FetchError, Kind
from shoal.storage.sessions import Sessions
from shoal.storage.uris import Location

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

    from shoal.storage.s3requests import Requests

_TRUST = (
    "name a ConfigMap that has the authority as cabundle.crt with the annotation "
    "serving.kserve.io/s3-cabundle-configmap"
)


def make(
    location: Location,
    options: S3Options,
    sessions: Sessions,
    trusted: Authorities,
    hint: str = "",
) -> Bucket:
    """Take the client of an S3 bucket; nothing is asked yet.

    Raises:
        FetchError: the CA bundle cannot be read.
    """
    authority = "\n".join(filter(None, (_authority(options), trusted.text)))
    try:
        store = _store(location.bucket, options, authority)
    except (BaseError, ValueError) as error:
        message = f"{options.origin}: {failures.first_line(error)}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error

    def spare() -> "Requests":
        # Only where it is needed: an agent's memory is paid once per replica.
        from shoal.storage import s3requests  # noqa: PLC0415

        return s3requests.Requests(sessions.get(), location.bucket, options, authority)

    return Bucket(
        credentials.shown_endpoint(options),
        options.origin,
        _identity(options),
        hint,
        _TRUST,
        store=store,
        spare=None if options.ambient else spare,
    )


def _identity(options: S3Options) -> str:
    if options.ambient:
        return "the pod's role"
    return "anonymous access" if options.anonymous else f"access key {options.access_key}"


@lru_cache(maxsize=buckets.CLIENTS)
def _store(bucket: str, options: S3Options, authority: str) -> S3Store:
    config: S3Config = {
        "region": options.region,
        "virtual_hosted_style_request": options.virtual_host,
    }
    if options.endpoint:
        config["endpoint"] = options.endpoint
        if options.virtual_host:
            scheme, _, host = options.endpoint.partition("://")
            config["endpoint"] = f"{scheme}://{bucket}.{host}"
    if options.ambient:
        # What the pod was given for its role; without any of it, the node's own is asked for.
        config |= cast("S3Config", dict(options.role))
    elif options.anonymous:
        config["skip_signature"] = True
    else:
        config["access_key_id"] = options.access_key
        config["secret_access_key"] = options.secret_key
        if options.session_token:
            config["session_token"] = options.session_token
    client: ClientConfig = {
        **buckets.trusting(authority),
        "allow_http": True,
        "allow_invalid_certificates": not options.verify,
    }
    return S3Store(bucket, config=config, client_options=client, retry_config=buckets.RETRIES)


def _authority(options: S3Options) -> str:
    if options.problem:
        message = f"{options.origin}: {options.problem}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_NOT_FOUND, message)
    if options.authority or not options.ca_bundle:
        return options.authority
    try:
        return Path(options.ca_bundle).read_text(errors="replace")
    except OSError as error:
        message = (
            f"{options.origin}: the CA bundle {options.ca_bundle} cannot be read: "
            f"{error.strerror}; {_TRUST}"
        )
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error
