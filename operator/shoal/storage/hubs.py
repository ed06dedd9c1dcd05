"""Models on the Hugging Face Hub: `hf://ORGANISATION/MODEL[:REVISION]`. Caller: openings.

Two requests of the hub's API do: one names a revision's commit and files, the other brings a
range of a file of that commit. So a model from there is resumed, bounded and checked like any
other, and the hub's own library, with its memory, stays out of the agent.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from shoal.reasons import Reason
from shoal.storage import listings, uris
from shoal.storage.authorities import Authorities
from shoal.storage.buckets import Found, Item
from shoal.storage.credentials import HuggingFaceOptions
from shoal.storage.failures import FetchError, Kind, status_kind
from shoal.storage.limits import Limits
from shoal.storage.uris import Location

_HUB = "https://huggingface.co"
_CHUNK = 512 * 1024
_TIMEOUT = ClientTimeout(total=None, sock_connect=5, sock_read=60)
_PARTIAL = 206
_FAILED = 400
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub, as one model is asked for."""

    session: ClientSession
    location: Location
    options: HuggingFaceOptions
    hint: str
    trusted: Authorities

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return self.options.endpoint or _HUB

    @property
    def repository(self) -> str:
        """The model as the hub calls it."""
        return f"{quote(self.location.bucket)}/{quote(self.location.key)}"


async def find(hub: Hub, limits: Limits) -> Found:
    """Look a model up, as it is at its revision now.

    Raises:
        FetchError: there is none, it may not be had, or the hub cannot be asked.
    """
    revision = quote(hub.location.revision or "main", safe="")
    url = f"{hub.endpoint}/api/models/{hub.repository}/revision/{revision}?blobs=true"
    async with _get(hub, url, {}) as answer:
        text = await answer.read()
    try:
        body = json.loads(text)
        commit = str(body["sha"])
        items = [_item(hub.location, row) for row in body["siblings"]]
    except (ValueError, KeyError, TypeError) as error:
        message = f"{hub.endpoint} did not answer for {hub.location.shown} as a hub does"
        raise FetchError(Kind.UNKNOWN, Reason.STORAGE_UNAVAILABLE, message) from error
    limits.accept_files(hub.location.shown, len(items))
    listings.check(hub.location, items)
    return Found(hub.endpoint, tuple(items), is_single=False, read=partial(_read, hub, commit))


async def _read(
    hub: Hub, commit: str, item: Item, span: tuple[int, int]
) -> AsyncGenerator[bytes, None]:
    """Read the bytes `span` of a file of a commit."""
    start, end = span
    headers = {} if span == (0, item.size) else {"Range": f"bytes={start}-{end - 1}"}
    url = f"{hub.endpoint}/{hub.repository}/resolve/{quote(commit)}/{quote(item.key)}"
    async with _get(hub, url, headers) as answer:
        # A server may bring all of a file where a part was asked for.
        skip = 0 if answer.status == _PARTIAL else start
        async for chunk in answer.content.iter_chunked(_CHUNK):
            wanted = chunk[skip : skip + end - start]
            skip = max(0, skip - len(chunk))
            start += len(wanted)
            if wanted:
                yield wanted
            if start >= end:
                return


@asynccontextmanager
async def _get(hub: Hub, url: str, headers: Mapping[str, str]) -> AsyncIterator[ClientResponse]:
    # A redirect to where the large files are gets no token: aiohttp leaves it out.
    token = {"Authorization": f"Bearer {hub.options.token}"} if hub.options.token else {}
    try:
        async with hub.session.get(
            url,
            headers={"Accept-Encoding": "identity", **headers, **token},
            ssl=hub.trusted.tls,
            timeout=_TIMEOUT,
            auto_decompress=False,
        ) as answer:
            if answer.status >= _FAILED:
                raise _refused(hub, answer, await answer.text(errors="replace"))
            yield answer
    except (ClientError, TimeoutError) as error:
        cause = getattr(error, "os_error", None)
        said = str(cause or "") or type(error).__name__
        more = hub.trusted.advice(cause)
        message = f"{hub.endpoint} cannot be reached for {hub.location.shown}: {said}{more}"
        raise FetchError(Kind.TRANSIENT, Reason.STORAGE_UNAVAILABLE, message) from error


def _refused(hub: Hub, answer: ClientResponse, text: str) -> FetchError:
    said = answer.headers.get("X-Error-Message", "") or _message(text)
    code = answer.headers.get("X-Error-Code", "")
    more = f": {said}" if said else ""
    shown, who = hub.location.shown, hub.options.origin
    hint = f"; {hub.hint}" if hub.hint else ""
    # The hub answers 401 also for what does not exist, and says which.
    if answer.status == 404 or code in {"RepoNotFound", "RevisionNotFound"}:  # noqa: PLR2004
        asked = "asked without a token" if hub.hint else f"asked with {who}"
        message = f"{shown}: not found at {hub.endpoint}{more} ({asked}{hint})"
        return FetchError(Kind.PERMANENT, Reason.MODEL_NOT_FOUND, message)
    if answer.status in {401, 403}:
        identity = "anonymous access" if hub.hint else "its token"
        message = (
            f"{who}: {hub.endpoint} refused {identity} for {shown}{more} ({answer.status}){hint}"
        )
        reason = Reason.CREDENTIALS_NOT_FOUND if hub.hint else Reason.CREDENTIALS_REFUSED
        return FetchError(Kind.PERMANENT, reason, message)
    message = f"{hub.endpoint} answered {answer.status} for {shown}{more} (asked with {who})"
    return FetchError(status_kind(answer.status), Reason.STORAGE_UNAVAILABLE, message)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["error"])[:_LONGEST]
    except (ValueError, KeyError, TypeError):
        return ""


def _item(location: Location, row: Mapping[str, Any]) -> Item:
    key = str(row["rfilename"])
    large = row.get("lfs") or {}
    version = str(large.get("sha256") or row["blobId"])
    try:
        path = uris.relative("", key)
    except uris.UriError as error:
        message = f"{location.shown}: {error}"
        raise FetchError(Kind.PERMANENT, Reason.INVALID_ARTIFACT, message) from error
    return Item(key, path, int(row["size"]), version, etag="")
