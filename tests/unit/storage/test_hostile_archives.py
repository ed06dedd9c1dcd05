"""The known attacks on programs that unpack, each made by hand."""

import gzip
import hashlib
import io
import random
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from shoal.storage import archives
from shoal.storage.limits import Limits
from shoal.storage.unpackings import ArchiveError, ArchiveTooBigError

MIB = 1 << 20


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as opened:
        for member, content in members:
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return sink.getvalue()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as opened:
        for name, content in members:
            opened.writestr(zipfile.ZipInfo(name), content, method)
    return sink.getvalue()


def unpack(tmp_path: Path, content: bytes, kind: str, **bounds: float) -> dict[str, bytes]:
    archive, into = tmp_path / "archive", tmp_path / "into"
    archive.write_bytes(content)
    into.mkdir(exist_ok=True)
    limit = int(bounds.pop("limit", 1 << 30))
    limits = Limits(**bounds)  # type: ignore[arg-type]  # rows
    sums = archives.unpack(archive, kind, archives.opening(archive, into, limit, limits))
    found = {path.relative_to(into).as_posix(): path.read_bytes() for path in files(into)}
    assert sums == {name: hashlib.sha256(body).hexdigest() for name, body in found.items()}
    return found


def files(into: Path) -> list[Path]:
    return [path for path in into.rglob("*") if not path.is_dir()]


def header(size: bytes, kind: bytes = b"0") -> bytes:
    """Make a tar header with a size field of one's own."""
    raw = bytearray(tarfile.TarInfo("m").tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = size.ljust(12, b"\0")
    raw[156:157] = kind
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


NEGATIVE = b"\xff" * 11 + b"\x00"  # base 256: -256
HUGE = b"\x80" + (1 << 40).to_bytes(11, "big")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            tar((entry("d", tarfile.SYMTYPE, "/tmp"), b""), (entry("d/e"), b"x")),  # noqa: S108 - the attack
            "links to no file within it|twice",
            id="a file through a link out",
        ),
        pytest.param(
            tar((entry("d", tarfile.SYMTYPE, "."), b""), (entry("d/../../e"), b"x")),
            "lies outside",
            id="up through a link",
        ),
        pytest.param(
            tar((entry("a", tarfile.LNKTYPE, "../../etc/passwd"), b"")),
            "links to no file",
            id="hard link out",
        ),
        pytest.param(
            tar((entry("a", tarfile.SYMTYPE, "b"), b""), (entry("b", tarfile.SYMTYPE, "a"), b"")),
            "links to no file",
            id="links in a circle",
        ),
        pytest.param(tar((entry("a"), b"1"), (entry("./a"), b"2")), "'./a' twice", id="twice"),
        pytest.param(
            tar((entry("a"), b"1"), (entry("a", tarfile.LNKTYPE, "a"), b"")), "twice", id="link"
        ),
        pytest.param(tar((entry("a"), b"1"), (entry("a/b"), b"2")), "name cannot", id="below"),
        pytest.param(tar((entry("a/b"), b"1"), (entry("a"), b"2")), "twice", id="file as folder"),
        pytest.param(tar((entry("."), b"1")), "has no name", id="nameless"),
        pytest.param(tar((entry("n" * 300), b"1")), "name cannot be used", id="long segment"),
        pytest.param(tar((entry("n/" * 900 + "f"), b"1")), "too long a name", id="deep"),
        pytest.param(tar((entry("b", tarfile.BLKTYPE), b"")), "is a device", id="block device"),
        pytest.param(tar((entry("c", tarfile.CONTTYPE), b"x"))[:512], "broken", id="cut"),
        pytest.param(header(NEGATIVE), "broken|device", id="negative size"),
        pytest.param(header(NEGATIVE, b"L"), "broken", id="negative size of a long name"),
        pytest.param(header(NEGATIVE, b"x"), "broken", id="negative size of a pax header"),
        pytest.param(header(HUGE, b"L") + bytes(512), "impossible size", id="huge long name"),
        pytest.param(header(HUGE, b"x") + bytes(512), "impossible size", id="huge pax header"),
        pytest.param(header(b"7777777777", b"g"), "impossible|broken", id="huge global header"),
    ],
)
def test_a_hostile_tar_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ArchiveError, match=said):
        unpack(tmp_path, content, "tar")
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "into"}


def test_headers_that_grow_from_nothing_are_refused(tmp_path: Path) -> None:
    bomb = header(b"%011o" % (3 * MIB), b"L") + b"n" * (3 * MIB)
    with pytest.raises(ArchiveError, match="headers are too large"):
        unpack(tmp_path, gzip.compress(bomb * 4), "tar")


def test_a_gzip_that_goes_on_after_its_tar_is_refused(tmp_path: Path) -> None:
    whole = tar((entry("a"), b"x")) + bytes(40 * MIB)
    with pytest.raises(ArchiveError, match="goes on after its end"):
        unpack(tmp_path, gzip.compress(whole), "tar")


def test_a_wrong_checksum_at_the_end_is_found(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(tar((entry("a"), b"x"))))
    content[-8] ^= 1
    with pytest.raises(ArchiveError, match="broken"):
        unpack(tmp_path, bytes(content), "tar")


def test_other_compressions_are_not_tried(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:xz") as opened:
        opened.addfile(entry("a"), io.BytesIO())
    with pytest.raises(ArchiveError, match="broken"):
        unpack(tmp_path, sink.getvalue(), "tar")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_bomb_is_known_by_its_growth(tmp_path: Path, kind: str) -> None:
    zeros = bytes(70 * MIB)
    is_tar = kind == "tar"
    content = gzip.compress(tar((entry("a"), zeros))) if is_tar else zipped(("a", zeros))
    with pytest.raises(ArchiveError, match="taken for a bomb"):
        unpack(tmp_path, content, kind)


def test_a_little_that_grows_much_is_no_bomb(tmp_path: Path) -> None:
    assert unpack(tmp_path, zipped(("small", bytes(MIB))), "zip") == {"small": bytes(MIB)}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_too_many_entries_are_refused(tmp_path: Path, kind: str) -> None:
    names = [f"f{number}" for number in range(11)]
    if kind == "tar":
        content = tar(*((entry(name), b"") for name in names))
    else:
        content = zipped(*((name, b"") for name in names))
    with pytest.raises(ArchiveError, match="more than 10 entries"):
        unpack(tmp_path, content, kind, files=10)


def test_a_link_may_come_before_its_file_and_lead_on(tmp_path: Path) -> None:
    content = tar(
        (entry("d/l", tarfile.SYMTYPE, "../m"), b""),
        (entry("m", tarfile.LNKTYPE, "a/b"), b""),
        (entry("a/b"), b"x"),
    )
    assert unpack(tmp_path, content, "tar") == {"d/l": b"x", "m": b"x", "a/b": b"x"}


def test_long_names_and_pax_headers_are_read(tmp_path: Path) -> None:
    name = "/".join(["folder"] * 40) + "/file"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        content = gzip.compress(tar((entry(name), b"x" * 600), (entry("b"), b"y"), form=form))
        (tmp_path / str(form)).mkdir()
        assert unpack(tmp_path / str(form), content, "tar") == {name: b"x" * 600, "b": b"y"}


def encrypted() -> bytes:
    content = bytearray(zipped(("a", b"x")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    return bytes(content)


def lying() -> bytes:
    content = bytearray(zipped(("a", bytes(1000)), method=zipfile.ZIP_STORED))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(content)


def linked() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as opened:
        info = zipfile.ZipInfo("fifo")
        info.external_attr = (stat.S_IFIFO | 0o644) << 16
        opened.writestr(info, b"")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(
            lambda: zipped(("aaaa", b"1"), ("bbbb", b"2")).replace(b"bbbb", b"aaaa"),
            "'aaaa' twice",
            id="twice",
        ),
        pytest.param(lambda: zipped(("a", b"1"), ("a/b", b"2")), "name cannot", id="below a file"),
        pytest.param(lambda: zipped(("a/../../e", b"1")), "lies outside", id="up"),
        pytest.param(lambda: zipped(("\\\\host\\e", b"1")), "lies outside", id="share"),
        pytest.param(encrypted, "is encrypted", id="encrypted"),
        pytest.param(
            lambda: zipped(("a", b"1"), method=zipfile.ZIP_LZMA), "neither stored", id="lzma"
        ),
        pytest.param(linked, "a link or a device", id="pipe"),
        pytest.param(lying, "broken|announces", id="larger than it says"),
    ],
)
def test_a_hostile_zip_is_refused(tmp_path: Path, make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(ArchiveError, match=said):
        unpack(tmp_path, make(), "zip")


def test_entries_that_share_their_bytes_count_each(tmp_path: Path) -> None:
    content = bytearray(zipped(*((f"{number}", bytes(MIB)) for number in range(3))))
    first = content.index(b"PK\x01\x02")
    at = first
    while (at := content.find(b"PK\x01\x02", at + 1)) > 0:  # all lead to the first one's bytes
        content[at + 42 : at + 46] = content[first + 42 : first + 46]
    with pytest.raises(ArchiveTooBigError, match="more than 2097152 bytes"):
        unpack(tmp_path, bytes(content), "zip", limit=2 * MIB)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_give_no_other_error(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a reproducible test
    whole = tar((entry("a/b"), b"x" * 700), (entry("l", tarfile.SYMTYPE, "a/b"), b""))
    kinds = [("tar", whole), ("tar", gzip.compress(whole)), ("zip", zipped(("a/b", b"x" * 700)))]
    outcomes = {"whole": 0, "refused": 0}
    for number in range(150):
        kind, content = kinds[number % 3]
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            unpack(folder, bytes(damaged), kind)
            outcomes["whole"] += 1
        except ArchiveError:
            outcomes["refused"] += 1
        assert {path.name for path in folder.iterdir()} == {"archive", "into"}
    assert min(outcomes.values()) > 0
