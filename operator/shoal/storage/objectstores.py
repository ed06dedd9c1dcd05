"""Models in S3 and Google Cloud Storage, through obstore.

`find` looks an address up, `download` brings what it found. A folder is a prefix that ends at a
slash, so that `model` never brings `model2/`; a key without that is tried as one object first.
"""

import asyncio
import json
import os
import re
import weakref
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import GCSStore, S3Store

from shoal.reasons import Reason
from shoal.storage import credentials, uris
from shoal.storage.credentials import GcsOptions, S3Options
from shoal.storage.failures import FetchError, Kind, status_kind
from shoal.storage.uris import Location

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, GCSConfig, RetryConfig, S3Config

_PART = 4 * 1024 * 1024
_FILES_OPEN = 64
_CLIENTS = 4
_PARTS_IN_FLIGHT = 8  # with _PART, the bound on what the process holds of all downloads
_STATUS = re.compile(r"status code: (\d{3})|status: (\d{3})")
_CODE = re.compile(r"<Code>([^<]+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]+)</Message>")
_CAUSES = {
    "Connection refused": "connection refused",
    "dns error": "its name cannot be resolved",
    "certificate": "its TLS certificate is not trusted",
    "UnknownIssuer": "its TLS certificate is not trusted",
    "CaUsedAsEndEntity": "its TLS certificate is not trusted",
    "operation timed out": "timed out",
    "TimedOut": "timed out",
}
_REFUSED_CODES = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "XAdminUserNotFound",  # versitygw's InvalidAccessKeyId, with status 404
}
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "timeout": "60s"}
_RETRIES: "RetryConfig" = {"max_retries": 1, "retry_timeout": timedelta(seconds=5)}


@dataclass(frozen=True, slots=True)
class Item:
    """One object, and the path below the model's folder that it is to have."""

    key: str
    path: str
    size: int
    version: str
    etag: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """An open bucket, and what messages say of it."""

    store: S3Store | GCSStore
    endpoint: str
    origin: str
    identity: str
    hint: str


@dataclass(frozen=True, slots=True)
class Found:
    """What an address names now."""

    items: tuple[Item, ...]
    is_single: bool


def open_s3(location: Location, options: S3Options, hint: str = "") -> Bucket:
    """Take the client of an S3 bucket; nothing is asked yet.

    Raises:
        FetchError: the CA bundle cannot be read.
    """
    authority = _certificate(options.ca_bundle, options.origin) if options.ca_bundle else b""
    store = _s3_store(location.bucket, options, authority)
    identity = "anonymous access" if options.anonymous else f"access key {options.access_key}"
    if options.ambient:
        identity = "the pod's role"
    return Bucket(store, credentials.shown_endpoint(options), options.origin, identity, hint)


# A client costs milliseconds of CPU and has its own connections, so the last few are kept.
@lru_cache(maxsize=_CLIENTS)
def _s3_store(bucket: str, options: S3Options, authority: bytes) -> S3Store:
    config: S3Config = {
        "region": options.region,
        "virtual_hosted_style_request": options.virtual_host,
    }
    if options.endpoint:
        config["endpoint"] = options.endpoint
        if options.virtual_host:
            scheme, _, host = options.endpoint.partition("://")
            config["endpoint"] = f"{scheme}://{bucket}.{host}"
    if options.anonymous:
        config["skip_signature"] = True
    elif not options.ambient:
        config["access_key_id"] = options.access_key
        config["secret_access_key"] = options.secret_key
        if options.session_token:
            config["session_token"] = options.session_token
    client: ClientConfig = {
        **_CLIENT,
        "allow_http": True,
        "allow_invalid_certificates": not options.verify,
    }
    if authority:
        client["root_certificate"] = authority
    return S3Store(bucket, config=config, client_options=client, retry_config=_RETRIES)


def open_gcs(location: Location, options: GcsOptions, hint: str = "") -> Bucket:
    """Take the client of a Google Cloud Storage bucket; nothing is asked yet.

    Raises:
        FetchError: the key is not usable.
    """
    identity = "anonymous access"
    endpoint = options.endpoint
    if options.key:
        key = _gcs_key(options)
        identity = str(key.get("client_email", "its key"))
        endpoint = str(key.get("gcs_base_url", "")) or endpoint
    elif options.key_file:
        identity = "the key file"
    elif options.ambient:
        identity = "the pod's identity"
    try:
        store = _gcs_store(location.bucket, options, endpoint)
    except (BaseError, ValueError) as error:
        message = f"{options.origin}: {_first_line(str(error))}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error
    shown = uris.redact(endpoint) or "https://storage.googleapis.com"
    return Bucket(store, shown, options.origin, identity, hint)


@lru_cache(maxsize=_CLIENTS)
def _gcs_store(bucket: str, options: GcsOptions, endpoint: str) -> GCSStore:
    config: GCSConfig = {}
    if options.key:
        config["service_account_key"] = options.key
    elif options.key_file:
        config["application_credentials"] = options.key_file
    elif not options.ambient:
        config["skip_signature"] = True
    if endpoint:
        config["base_url"] = endpoint
    client: ClientConfig = {**_CLIENT, "allow_http": True}
    return GCSStore(bucket, config=config, client_options=client, retry_config=_RETRIES)


async def find(bucket: Bucket, location: Location) -> Found:
    """Look an address up.

    Raises:
        FetchError: nothing is there, or the store cannot be asked.
    """
    if location.key and not location.key.endswith("/"):
        single = await _head(bucket, location)
        if single is not None:
            return Found((single,), is_single=True)
    items = await _list(bucket, location)
    if not items:
        message = f"{location.shown}: no such object or folder at {bucket.endpoint}"
        raise FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)
    if path := uris.conflicts(item.path for item in items):
        message = f"{location.shown}: {path!r} is both an object and a folder"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message)
    return Found(tuple(items), is_single=False)


async def download(
    bucket: Bucket, location: Location, found: Found, into: Path, count: Callable[[int], None]
) -> None:
    """Bring every object of `found` into the folder `into`; `count` is told of bytes.

    Raises:
        FetchError: an object is gone, changed on the way, or the store failed.
    """
    transfer = _Transfer(bucket, location, count)
    await _together(transfer.item(item, into / item.path) for item in found.items)


class _Transfer:
    """One download: at most `_FILES_OPEN` files at once, parts bounded over the whole process."""

    def __init__(self, bucket: Bucket, location: Location, count: Callable[[int], None]) -> None:
        self._bucket = bucket
        self._location = location
        self._count = count
        self._files = asyncio.Semaphore(_FILES_OPEN)

    async def item(self, item: Item, target: Path) -> None:
        async with self._files:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                await _together(
                    self._part(item, (start, min(start + _PART, item.size)), descriptor)
                    for start in range(0, item.size, _PART)
                )
            finally:
                os.close(descriptor)

    async def _part(self, item: Item, span: tuple[int, int], descriptor: int) -> None:
        async with _in_flight():
            body = await self._get(item, span)
            if len(body) != span[1] - span[0]:
                message = (
                    f"{self._location.shown}: {item.path} brought {len(body)} bytes "
                    f"where {span[1] - span[0]} were announced"
                )
                raise FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)
            await asyncio.to_thread(os.pwrite, descriptor, body, span[0])
            self._count(len(body))

    async def _get(self, item: Item, span: tuple[int, int]) -> memoryview:
        options: GetOptions = {} if span == (0, item.size) else {"range": span}
        if item.etag:
            options["if_match"] = item.etag
        try:
            answer = await obstore.get_async(self._bucket.store, item.key, options=options)
            return memoryview(await answer.bytes_async())
        except (BaseError, OSError) as error:
            raise _failure(self._bucket, self._location, error) from error


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all; the first failure cancels the others and is the one that is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
    weakref.WeakKeyDictionary()
)


def _in_flight() -> asyncio.Semaphore:
    return _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_PARTS_IN_FLIGHT))


async def _head(bucket: Bucket, location: Location) -> Item | None:
    try:
        meta = await obstore.head_async(bucket.store, location.key)
    except FileNotFoundError:
        return None
    except (BaseError, OSError) as error:
        status, _ = _words(error)
        # A refused HEAD has no body: the listing that follows brings the store's own words.
        if status in {400, 401, 403}:
            return None
        raise _failure(bucket, location, error) from error
    name = location.key.rpartition("/")[2]
    return _item(meta, name)


async def _list(bucket: Bucket, location: Location) -> list[Item]:
    prefix = location.key.rstrip("/")
    items = []
    try:
        async for chunk in obstore.list(bucket.store, prefix=prefix or None, chunk_size=1000):
            for meta in chunk:
                key = str(meta["path"])
                # The folder's own marker comes back without its slash and with no bytes.
                if key == prefix or (key.endswith("/") and meta["size"] == 0):
                    continue
                items.append(_item(meta, uris.relative(prefix, key)))
    except InvalidPathError as error:
        message = f"{location.shown}: a key below it has an empty or dot segment, such as 'a//b'"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message) from error
    except uris.UriError as error:
        message = f"{location.shown}: {error}"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message) from error
    except (BaseError, OSError) as error:
        raise _failure(bucket, location, error) from error
    return _without_markers(items)


def _without_markers(items: list[Item]) -> list[Item]:
    """Drop empty objects that stand for a folder which has files of its own."""
    folders = set()
    for item in items:
        parent = item.path.rpartition("/")[0]
        while parent:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    return [item for item in items if item.size or item.path not in folders]


def _item(meta: Any, path: str) -> Item:  # noqa: ANN401 - obstore's ObjectMeta, a TypedDict
    etag = meta.get("e_tag") or ""
    version = etag or meta["last_modified"].isoformat()
    return Item(str(meta["path"]), path, int(meta["size"]), version, etag)


def _failure(bucket: Bucket, location: Location, error: Exception) -> FetchError:
    status, words = _words(error)
    code = words.partition(":")[0]
    if status in {401, 403} or code in _REFUSED_CODES:
        return _refused(bucket, location, f"{words or 'refused'} ({status})")
    if isinstance(error, FileNotFoundError) or status == HTTPStatus.NOT_FOUND:
        said = f" ({words})" if words else ""
        message = f"{location.shown}: not found at {bucket.endpoint}{said}"
        return FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)
    if status == HTTPStatus.PRECONDITION_FAILED:
        message = f"{location.shown}: changed while it was downloaded"
        return FetchError(Kind.TRANSIENT, Reason.DOWNLOAD_FAILED, message)
    if status:
        message = f"{bucket.endpoint} answered {status} for {location.shown}: {words}"
        return FetchError(status_kind(status), Reason.STORAGE_UNAVAILABLE, message.rstrip(": "))
    cause = next((said for sign, said in _CAUSES.items() if sign in str(error)), "")
    message = (
        f"{bucket.endpoint} cannot be reached for {location.shown}: "
        f"{cause or _first_line(str(error))}"
    )
    return FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, message)


def _refused(bucket: Bucket, location: Location, words: str) -> FetchError:
    hint = f"; {bucket.hint}" if bucket.hint else ""
    message = (
        f"{bucket.origin}: {bucket.endpoint} refused {bucket.identity} "
        f"for {location.shown}: {words}{hint}"
    )
    reason = Reason.CREDENTIALS_NOT_FOUND if bucket.hint else Reason.CREDENTIALS_REFUSED
    return FetchError(Kind.PERMANENT, reason, message)


def _words(error: Exception) -> tuple[int, str]:
    """Take the status and the store's own words out of obstore's text."""
    text = str(error)
    match = _STATUS.search(text)
    status = int(match[1] or match[2]) if match else 0
    code = _CODE.search(text)
    said = _MESSAGE.search(text)
    return status, ": ".join(found[1] for found in (code, said) if found)


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:200]


def _gcs_key(options: GcsOptions) -> dict[str, Any]:
    try:
        key = json.loads(options.key)
    except ValueError as error:
        message = f"{options.origin}: gcloud-application-credentials.json is no JSON: {error}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error
    if not isinstance(key, dict):
        message = f"{options.origin}: gcloud-application-credentials.json is no object"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message)
    return key


def _certificate(path: str, origin: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        message = f"{origin}: the CA bundle {path} cannot be read: {error.strerror}"
        raise FetchError(Kind.PERMANENT, Reason.CREDENTIALS_REFUSED, message) from error
