import hashlib
import subprocess
from pathlib import Path

import pytest

from shoal.storage import digests
from shoal.storage.failures import FetchError, Kind

FILES = {"b": b"1", "a/b": b"2", "a.c": b"3", "Ä": b"4", "a b": b"5"}


def test_a_folder_has_the_sum_that_the_documented_line_prints(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    line = next(row.strip() for row in (digests.__doc__ or "").splitlines() if "find ." in row)
    done = subprocess.run(  # noqa: S603 - the documented line
        ["bash", "-c", line],  # noqa: S607 - as a user types it
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert done.stdout.split()[0] == digests.manifest(sums)


def test_another_sum_is_an_error_with_both() -> None:
    with pytest.raises(FetchError) as caught:
        digests.check("s3://b/m", f"sha256:{'a' * 64}", "b" * 64)
    assert (caught.value.kind, caught.value.reason) == (Kind.PERMANENT, "DigestMismatch")
    assert "a" * 64 in caught.value.message
    assert "b" * 64 in caught.value.message


@pytest.mark.parametrize("wanted", ["", f"sha256:{'b' * 64}", f"sha256:{'B' * 64}"])
def test_no_promise_and_a_kept_one_are_fine(wanted: str) -> None:
    digests.check("s3://b/m", wanted, "b" * 64)
