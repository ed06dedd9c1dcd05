"""Addresses of models, and the paths that their parts may take on disk. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import unquote, urlsplit, urlunsplit

_FILE_NAME = re.compile(r"filename\*?=(?:UTF-8'')?(?:\"([^\"]*)\"|([^;\s]+))", re.IGNORECASE)
# The form of upstream (contract §4.1), with a container and its account's own host.
_BLOB = re.compile(r"https://[a-z0-9]+\.blob\.core\.windows\.net/[^/?]+", re.IGNORECASE)
_SHARE = re.compile(r"https://[a-z0-9]+\.file\.core\.windows\.net(/|$)", re.IGNORECASE)
_REPOSITORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_DEFAULT_NAME = "model"
_LONGEST_SEGMENT = 255
_GIT = ".git"
# What no name of a branch or tag has (git-check-ref-format).
_NO_REVISION = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|^[-/]|/$")


class Scheme(StrEnum):
    """The protocols that models are fetched by."""

    S3 = "s3"
    GS = "gs"
    AZ = "az"
    PVC = "pvc"
    HF = "hf"
    HTTP = "http"
    HTTPS = "https"


_BUCKETS = {Scheme.AZ: "container", Scheme.PVC: "claim"}


class UriError(ValueError):
    """An address, or a key below it, that cannot be fetched; the message says why."""


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed address.

    `bucket` is a bucket, an Azure container, a claim, an organisation of Hugging Face or the host
    of a link; `key` is what is below. `account` is the Azure storage account where the address
    names it, `revision` that of a model of Hugging Face or of a git repository.
    """

    scheme: Scheme
    bucket: str
    key: str
    uri: str
    account: str = ""
    revision: str = ""

    @property
    def shown(self) -> str:
        """The address as messages may show it: no query, no user, no password."""
        revision = f"#{self.revision}" if self.is_repository and self.revision else ""
        return redact(self.uri) + revision

    @property
    def is_share(self) -> bool:
        """Whether it is a file share of Azure, and no container (contract §4.1)."""
        return _SHARE.match(self.uri) is not None

    @property
    def is_repository(self) -> bool:
        """Whether it is cloned, and no file of a web server (contract §4.8)."""
        return self.scheme in {Scheme.HTTP, Scheme.HTTPS} and self.key.endswith(_GIT)


def parse(uri: str) -> Location:
    """Read a `storageUri`.

    Raises:
        UriError: no scheme that we fetch, no bucket or host, or an odd key.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in set(Scheme):
        known = ", ".join(f"{each}://" for each in Scheme)
        raise UriError(f"{redact(uri)!r} starts with none of {known}")
    if scheme in {Scheme.HTTP, Scheme.HTTPS}:
        is_azure = _BLOB.match(uri) or _SHARE.match(uri)
        return _azure(uri) if is_azure else _web(Scheme(scheme), uri)
    if scheme == Scheme.HF:
        return _model(rest, uri)
    return _below(Scheme(scheme), rest, uri)


def _below(scheme: Scheme, rest: str, uri: str, account: str = "") -> Location:
    bucket, _, key = rest.partition("/")
    if not bucket:
        what = "share" if _SHARE.match(uri) else _BUCKETS.get(scheme, "bucket")
        raise UriError(f"{redact(uri)!r} names no {what}")
    key = key.rstrip("/")
    if key:
        _checked_segments(key, redact(uri))
    is_folder = rest.endswith("/")
    key = f"{key}/" if key and is_folder else key
    return Location(scheme, bucket, key, uri, account=account)


def relative(prefix: str, key: str) -> str:
    """Make the path, below the model's folder, of an object below `prefix`.

    An empty segment and `.` mean what they mean in a path on the disk: nothing.

    Raises:
        UriError: the key names no file, leads up, or lies elsewhere.
    """
    folder = f"{prefix.rstrip('/')}/" if prefix else ""
    segments = [each for each in key.removeprefix(folder).split("/") if each not in {"", "."}]
    if not key.startswith(folder) or not segments:
        raise UriError(f"the key {key!r} is not below {folder!r}")
    _checked_segments("/".join(segments), key)
    return "/".join(segments)


def conflicts(paths: Iterable[str]) -> str:
    """Find a path that is both a file and a folder; "" when there is none."""
    known = set(paths)
    for path in known:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in known:
                return parent
            parent = parent.rpartition("/")[0]
    return ""


def file_name(url: str, disposition: str = "") -> str:
    """Name what an http(s) URL brings: by Content-Disposition, else by its last segment."""
    match = _FILE_NAME.search(disposition)
    offered = (match[1] or match[2] or "") if match else ""
    for text in (offered, urlsplit(url).path):
        name = unquote(text).replace("\\", "/").rpartition("/")[2].strip()
        if name not in {"", ".", ".."} and name.isprintable() and len(name) <= _LONGEST_SEGMENT:
            return name
    return _DEFAULT_NAME


def redact(uri: str) -> str:
    """Leave out what may be a secret: user, password, query and fragment."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri.partition("?")[0]
    if not parts.netloc:
        return uri.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _azure(uri: str) -> Location:
    """Read a link to a blob, a file of a share or a folder; what it names is percent-encoded."""
    parts = urlsplit(uri)
    account = (parts.hostname or "").partition(".")[0]
    return _below(Scheme.AZ, unquote(parts.path).removeprefix("/"), uri, account)


def _model(rest: str, uri: str) -> Location:
    organisation, _, name = rest.rstrip("/").partition("/")
    name, colon, revision = name.partition(":")
    if not organisation or not name or "/" in name or (colon and not revision):
        raise UriError(f"{uri!r} is not of the form hf://ORGANISATION/MODEL[:REVISION]")
    for part in (organisation, name):
        if not _REPOSITORY.fullmatch(part):
            raise UriError(f"{uri!r}: {part!r} cannot be the name of an organisation or model")
    return Location(Scheme.HF, organisation, name, uri, revision=revision)


def _web(scheme: Scheme, uri: str) -> Location:
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise UriError(f"{redact(uri)!r}: {error}") from error
    if not host:
        raise UriError(f"{redact(uri)!r} names no host")
    location = Location(scheme, host, parts.path.rstrip("/"), uri)
    return _repository(location) if location.is_repository else replace(location, key=parts.path)


def _repository(location: Location) -> Location:
    """Read the revision of a repository, which stands behind a `#`."""
    parts = urlsplit(location.uri)
    revision = unquote(parts.fragment)
    if parts.query:
        raise UriError(
            f"{location.shown!r} is a git repository, whose address has no query (?…); "
            "a branch, tag or commit stands behind a #"
        )
    if _NO_REVISION.search(revision) or location.uri.endswith("#"):
        raise UriError(
            f"{location.shown!r}: {revision!r} cannot be the name of a branch, tag or commit"
        )
    return replace(location, revision=revision)


def _checked_segments(path: str, whole: str) -> None:
    for segment in path.split("/"):
        if segment in {"", ".", ".."}:
            raise UriError(f"{whole!r} has the segment {segment!r}, which no file can be named")
        if "\0" in segment or "\\" in segment or len(segment.encode()) > _LONGEST_SEGMENT:
            raise UriError(f"{whole!r} has a segment that no file can be named")
