from pathlib import Path

import pytest

from shoal.storage import lfsobjects
from shoal.storage.failures import FetchError

NAME = "ab" * 32
HEAD = "version https://git-lfs.github.com/spec/v1\n"
POINTER = f"{HEAD}oid sha256:{NAME}\nsize 12\n"


def test_pointers_are_found_by_what_they_are(tmp_path: Path) -> None:
    files = {
        "a": POINTER,
        "b": f"{HEAD}ext-0-x sha256:{'0' * 64}\noid sha256:{NAME}\nsize 12\n",
        "text": f"# {POINTER}",
        "long": POINTER + "x" * 2000,
        "empty": "",
    }
    for path, text in files.items():
        (tmp_path / path).write_text(text)
    found = lfsobjects.find("https://h/m.git", tmp_path, files)
    assert (found.objects, found.paths, found.size) == ({NAME: 12}, {NAME: ["a", "b"]}, 12)
    assert found.held == sum(map(len, files.values()))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEAD, id="cut off"),
        pytest.param(POINTER.replace("size", "siz"), id="no size"),
        pytest.param(POINTER.replace("sha256", "sha512"), id="another sum"),
        pytest.param(POINTER.replace(NAME, "../../x"), id="no sum"),
    ],
)
def test_a_pointer_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_text(text)
    with pytest.raises(FetchError, match="'m' is a pointer to Git LFS that cannot be read"):
        lfsobjects.find("https://h/m.git", tmp_path, ["m"])
