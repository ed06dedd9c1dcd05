"""What git says becomes a sentence, and what helps."""

import pytest

from shoal.storage import gitcommands
from shoal.storage.failures import Kind

SHOWN = "https://h/m.git"
PERMANENT, TRANSIENT, UNKNOWN = Kind.PERMANENT, Kind.TRANSIENT, Kind.UNKNOWN


@pytest.mark.parametrize(
    ("said", "kind", "reason", "message"),
    [
        pytest.param(
            "remote: Counting: 9%\rerror: RPC failed; curl 56 reset\nfatal: early EOF\n",
            TRANSIENT,
            "DownloadFailed",
            "the download failed: RPC failed; curl 56 reset",
            id="stopped",
        ),
        pytest.param(
            "fatal: remote error: upload-pack: not our ref 11\n",
            PERMANENT,
            "ModelNotFound",
            "the server has not what was asked for: upload-pack: not our ref 11",
            id="no such commit",
        ),
        pytest.param(
            "fatal: Out of memory, malloc failed (tried to allocate 9 bytes)\nfatal: fetch-pack\n",
            PERMANENT,
            "ArtifactTooLarge",
            "git may have 512 MiB of memory, which is not enough; use Git LFS: Out of memory, "
            "malloc failed (tried to allocate 9 bytes)",
            id="memory",
        ),
        pytest.param(
            "fatal: write error: No space left on device\n",
            PERMANENT,
            "StoreFull",
            "the disk is full: write error: No space left on device",
            id="disk",
        ),
        pytest.param(
            "error: object 11: hasDotgit: contains '.git'\nfatal: fsck error in packed object\n",
            PERMANENT,
            "InvalidArtifact",
            "git refuses the repository: object 11: hasDotgit: contains '.git'",
            id="a name",
        ),
        pytest.param(
            'cannot write data to temporary file "/x/1": LFS: unexpected EOF\n'
            "error: failed to fetch some objects from 'https://h/m.git/info/lfs'\n",
            TRANSIENT,
            "DownloadFailed",
            "the download failed: unexpected EOF",
            id="Git LFS",
        ),
        pytest.param(
            "LFS: Client error: https://u:p@s3/b/k?X-Signature=abc\n",
            UNKNOWN,
            "StorageUnavailable",
            "git says: Client error: https://s3/b/k",
            id="a signature",
        ),
        pytest.param(
            "fatal: you sent Bearer topsecret\n",
            UNKNOWN,
            "StorageUnavailable",
            "git says: you sent ***",
            id="a password",
        ),
        pytest.param(
            "what\n",
            UNKNOWN,
            "StorageUnavailable",
            "git says: it ended with code 128",
            id="nothing known",
        ),
    ],
)
def test_what_git_says(said: str, kind: Kind, reason: str, message: str) -> None:
    error = gitcommands.failure(SHOWN, 128, said, ["Bearer topsecret", "topsecret"])
    assert (error.kind, error.reason, error.message) == (kind, reason, f"{SHOWN}: {message}")


def test_a_kill_is_for_want_of_memory() -> None:
    error = gitcommands.failure(SHOWN, -9, "", [])
    assert (error.kind, error.reason) == (Kind.PERMANENT, "ArtifactTooLarge")
