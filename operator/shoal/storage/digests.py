r"""The sha256 that a user says a model has (annotation `serving.kserve.io/artifact-digest`). Pure.

One object, one file, one archive: the sha256 of its bytes as they are stored. A folder: the
sha256 of what `sha256sum` prints for its files, sorted by path bytewise:

    find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
"""

import hashlib
from collections.abc import Mapping

from shoal.reasons import Reason
from shoal.storage.failures import FetchError, Kind

_NAME = "sha256"


def manifest(sums: Mapping[str, str]) -> str:
    """Sum a folder up, given the sha256 of each file by its path."""
    rows = sorted((path.encode("utf-8", "surrogateescape"), sums[path]) for path in sums)
    whole = hashlib.sha256()
    for path, each in rows:
        whole.update(each.encode() + b"  " + path + b"\n")
    return whole.hexdigest()


def check(shown: str, wanted: str, found: str, what: str = "") -> None:
    """Compare what came with what was promised, `sha256:<hex>`; "" promises nothing.

    Raises:
        FetchError: it is something else.
    """
    if wanted and wanted.lower() != f"{_NAME}:{found}":
        message = (
            f"{shown}: the {_NAME} of {what or 'its bytes'} is {found}, "
            f"and {wanted.removeprefix(f'{_NAME}:')} was promised; nothing of it is used"
        )
        raise FetchError(Kind.PERMANENT, Reason.DIGEST_MISMATCH, message)
