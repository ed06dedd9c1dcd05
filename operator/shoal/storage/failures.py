"""Why a model could not be had, and whether trying again helps."""

import errno
from enum import StrEnum

from shoal.reasons import Reason

_LONGEST = 200
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Kind(StrEnum):
    """What helps against a failure, and so how soon the next try comes."""

    TRANSIENT = "transient"  # time: the other side is down, slow or busy
    UNKNOWN = "unknown"  # perhaps time, perhaps another model
    PERMANENT = "permanent"  # a change of the spec, the Secret or the bucket


class FetchError(Exception):
    """A model could not be fetched; the message is one sentence without any secret."""

    def __init__(self, kind: Kind, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message


def status_kind(status: int) -> Kind:
    """Classify the HTTP status of a refusal."""
    too_many, timeout, server_error = 429, 408, 500
    if status in {too_many, timeout} or status >= server_error:
        return Kind.TRANSIENT
    return Kind.PERMANENT


def of_disk(shown: str, error: OSError, room: int) -> FetchError:
    """Say why what came of an address cannot be written, with `room` bytes free."""
    if error.errno in _NO_ROOM:
        message = f"{shown}: the disk is full; {room} bytes are free"
        return FetchError(Kind.PERMANENT, Reason.STORE_FULL, message)
    message = f"{shown}: cannot be written: {error.strerror or error}"
    return FetchError(Kind.UNKNOWN, Reason.DOWNLOAD_FAILED, message)


def first_line(error: Exception) -> str:
    """Take of a library's text what fits into one sentence."""
    return str(error).partition("\n")[0][:_LONGEST]
