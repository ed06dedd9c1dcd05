import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from shoal.storage import archives
from shoal.storage.limits import Limits
from shoal.storage.unpackings import ArchiveError, ArchiveTooBigError

ROOM = 1 << 20


def tar(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as opened:  # type: ignore[call-overload]  # a mode by argument
        for member, content in members:
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return sink.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def zipped(*members: tuple[str, bytes, int]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            opened.writestr(info, content)
    return sink.getvalue()


def unpack(tmp_path: Path, content: bytes, kind: str, limit: int = ROOM) -> dict[str, bytes]:
    archive, into = tmp_path / "archive", tmp_path / "into"
    archive.write_bytes(content)
    into.mkdir()
    archives.unpack(archive, kind, archives.opening(archive, into, limit, Limits()))
    found = (path for path in into.rglob("*") if path.is_file())
    return {path.relative_to(into).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(tar((entry("a/b"), b"x")), "tar", id="tar"),
        pytest.param(tar((entry("a/b"), b"x"), mode="w:gz"), "tar", id="tar.gz"),
        pytest.param(zipped(("a/", b"", 0), ("a/b", b"x", 0o100644)), "zip", id="zip"),
    ],
)
def test_a_good_archive_is_unpacked(tmp_path: Path, content: bytes, kind: str) -> None:
    assert unpack(tmp_path, content, kind) == {"a/b": b"x"}


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        pytest.param(tar((entry("../e"), b"x")), "tar", "lies outside", id="tar: up"),
        pytest.param(tar((entry("/e"), b"x")), "tar", "lies outside", id="tar: absolute"),
        pytest.param(
            tar((entry("l", tarfile.SYMTYPE, "../../e"), b"")), "tar", "'l'", id="tar: link out"
        ),
        pytest.param(
            tar((entry("l", tarfile.SYMTYPE, "/etc"), b"")), "tar", "'l'", id="tar: link to root"
        ),
        pytest.param(tar((entry("d", tarfile.CHRTYPE), b"")), "tar", "a device", id="tar: device"),
        pytest.param(tar((entry("f", tarfile.FIFOTYPE), b"")), "tar", "a device", id="tar: pipe"),
        pytest.param(tar(), "tar", "is empty", id="tar: empty"),
        pytest.param(b"nonsense", "tar", "is broken", id="tar: nonsense"),
        pytest.param(
            tar((entry("a"), b"x" * 9999), mode="w:gz")[:-20], "tar", "is broken", id="tar: cut"
        ),
        pytest.param(zipped(("../e", b"x", 0)), "zip", "lies outside", id="zip: up"),
        pytest.param(zipped(("/e", b"x", 0)), "zip", "lies outside", id="zip: absolute"),
        pytest.param(zipped(("..\\e", b"x", 0)), "zip", "lies outside", id="zip: backslash"),
        pytest.param(
            zipped(("l", b"/etc", stat.S_IFLNK | 0o777)), "zip", "a link or", id="zip: link"
        ),
        pytest.param(b"nonsense", "zip", "is broken", id="zip: nonsense"),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, content: bytes, kind: str, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        unpack(tmp_path, content, kind)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(tar((entry("a"), bytes(5000)), mode="w:gz"), "tar", id="tar"),
        pytest.param(zipped(("a", bytes(5000), 0)), "zip", id="zip"),
    ],
)
def test_a_bomb_is_refused_with_the_room_there_is(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    with pytest.raises(ArchiveTooBigError, match="more than 4999 bytes"):
        unpack(tmp_path, content, kind, limit=4999)


@pytest.mark.parametrize(
    ("name", "content_type", "kind"),
    [
        pytest.param("m.zip", "", "zip", id="zip"),
        pytest.param("M.TAR.GZ", "", "tar", id="tar.gz"),
        pytest.param("m.tgz", "", "tar", id="tgz"),
        pytest.param("m", "application/zip; x=y", "zip", id="by type"),
        pytest.param("m", "application/gzip", "tar", id="gzip by type"),
        pytest.param("m.pkl.gz", "application/gzip", "", id="a lone gzip"),
        pytest.param("m.pkl", "application/octet-stream", "", id="no archive"),
    ],
)
def test_what_an_artefact_is(name: str, content_type: str, kind: str) -> None:
    assert archives.kind(name, content_type) == kind


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        pytest.param(tarfile.SYMTYPE, "b", id="symbolic"),
        pytest.param(tarfile.LNKTYPE, "a/b", id="hard"),
    ],
)
def test_a_link_within_a_tar_becomes_a_copy(tmp_path: Path, kind: bytes, target: str) -> None:
    content = tar((entry("a/b"), b"x"), (entry("a/l", kind, target), b""))
    assert unpack(tmp_path, content, "tar") == {"a/b": b"x", "a/l": b"x"}
    assert not (tmp_path / "into" / "a" / "l").is_symlink()


def test_links_count_with_the_size_of_what_they_name(tmp_path: Path) -> None:
    links = [(entry(f"l{number}", tarfile.LNKTYPE, "f"), b"") for number in range(20)]
    with pytest.raises(ArchiveTooBigError):
        unpack(tmp_path, tar((entry("f"), b"x" * 1000), *links), "tar", limit=5000)
