"""What an object store said or did not say, as one sentence for a person. Callers: the stores.

obstore has few exceptions; their text carries the status, the store's answer and the causes. Each
sentence names the address, the endpoint, and whose credentials were used, never what is in them.
"""

import re
from http import HTTPStatus

from shoal.reasons import Reason
from shoal.storage import failures
from shoal.storage.buckets import Access
from shoal.storage.failures import FetchError, Kind, status_kind
from shoal.storage.uris import Location

_STATUS = re.compile(r"status code: (\d{3})|status: (\d{3})")
_CODE = re.compile(r"<Code>([^<]+)</Code>|\"error\"\s*:\s*\"([^\"]+)\"")
_MESSAGE = re.compile(r"<Message>([^<]+)</Message>|\"error_description\"\s*:\s*\"([^\"\\]+)")
# How a library logs in with a role or a key, before it asks the store at all. The address of an
# exchange is hidden by obstore, because a token may be in it.
_LOGIN = re.compile(
    r"Failed to read token file|token request|performing \w+ REDACTED"
    r"|performing \w+ \S+/(?:latest/(?:api|meta-data)|computeMetadata|metadata/identity|oauth2)/"
)
_CAUSES = {
    "Connection refused": "connection refused",
    "Connect call failed": "connection refused",
    "dns error": "its name cannot be resolved",
    "Name or service not known": "its name cannot be resolved",
    "Hostname mismatch": "its TLS certificate is for another host",
    "IP address mismatch": "its TLS certificate is for another host",
    "CERTIFICATE_VERIFY_FAILED": "its TLS certificate is not trusted",
    "UnknownIssuer": "its TLS certificate is of an authority that is not known here",
    "CaUsedAsEndEntity": "its TLS certificate is its own authority",
    "NotValidForName": "its TLS certificate is for another host",
    "Expired": "its TLS certificate has expired",
    "InvalidCertificate": "its TLS certificate is not valid",
    "InvalidContentType": "it answers without TLS; is it http?",
    "Parse(": "it does not answer with HTTP; is it https?",
    "IncompleteMessage": "it closed the connection before it answered",
    "Failed to read token file": "the token file cannot be read",
    "operation timed out": "timed out",
    "TimedOut": "timed out",
}
_REFUSED_CODES = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "PublicAccessNotPermitted",  # of Azure, with status 409
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "XAdminUserNotFound",  # versitygw's InvalidAccessKeyId, with status 404
}


def failure(bucket: Access, location: Location, error: Exception) -> FetchError:
    """Make the error that a model fails with."""
    status, said = words(error)
    if _LOGIN.search(str(error)):
        return _stranded(bucket, location, status, said or _cause(error))
    if status in {401, 403} or said.partition(":")[0] in _REFUSED_CODES:
        return _refused(bucket, location, f"{said or 'refused'} ({status})")
    if isinstance(error, FileNotFoundError) or status == HTTPStatus.NOT_FOUND:
        return missing(bucket, location, said)
    if status == HTTPStatus.PRECONDITION_FAILED:
        message = f"{location.shown}: changed while it was downloaded"
        return FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)
    if status:
        more = f": {said}" if said else ""
        message = (
            f"{bucket.endpoint} answered {status} for {location.shown}{more} ({bucket.asked})"
        )
        return FetchError(status_kind(status), Reason.STORAGE_UNAVAILABLE, message)
    message = (
        f"{bucket.endpoint} cannot be reached for {location.shown}: {_cause(error)}"
        f"{_advice(bucket, error)} ({bucket.asked})"
    )
    return FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, message)


def missing(bucket: Access, location: Location, said: str = "") -> FetchError:
    """Make the error for an address that names nothing."""
    more = f": {said}" if said else ""
    # Some stores hide from strangers that a bucket is there, so the hint belongs here too.
    hint = f"; {bucket.hint}" if bucket.hint else ""
    message = (
        f"{location.shown}: no such object or folder at {bucket.endpoint}{more} "
        f"({bucket.asked}{hint})"
    )
    return FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)


def words(error: Exception) -> tuple[int, str]:
    """Take the status and the store's own words out of obstore's text."""
    text = str(error)
    match = _STATUS.search(text)
    status = int(match[1] or match[2]) if match else 0
    found = [_CODE.search(text), _MESSAGE.search(text)]
    said = [(each[1] or each[2]).strip() for each in found if each]
    # Azure's message goes on with the request's number and the time.
    return status, ": ".join(each.partition("\n")[0] for each in said)


def _refused(bucket: Access, location: Location, said: str) -> FetchError:
    hint = f"; {bucket.hint}" if bucket.hint else ""
    message = (
        f"{bucket.origin}: {bucket.endpoint} refused {bucket.identity} "
        f"for {location.shown}: {said}{hint}"
    )
    reason = Reason.CREDENTIALS_NOT_FOUND if bucket.hint else Reason.CREDENTIALS_REFUSED
    return FetchError(Kind.PERMANENT, reason, message)


def _stranded(bucket: Access, location: Location, status: int, said: str) -> FetchError:
    """Say that the store was never asked."""
    shown = f" ({status})" if status else ""
    message = (
        f"{bucket.origin}: cannot log in with {bucket.identity} for {location.shown}: "
        f"{said}{shown}; {bucket.endpoint} was not asked"
    )
    if status_kind(status) is Kind.PERMANENT and status:
        return FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)
    return FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, message)


def _cause(error: Exception) -> str:
    text = str(error)
    found = next((cause for sign, cause in _CAUSES.items() if sign in text), "")
    return found or failures.first_line(error)


def _advice(bucket: Access, error: Exception) -> str:
    is_unknown = any(sign in str(error) for sign in ("UnknownIssuer", "CaUsedAsEndEntity"))
    return f"; {bucket.trust}" if is_unknown and bucket.trust else ""
