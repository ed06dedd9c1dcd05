"""Packs of git become the files of their commit, or a refusal."""

import hashlib
from pathlib import Path

import pytest

from shoal.storage import archives
from shoal.storage.unpackings import ArchiveError, ArchiveTooBigError
from support import packs
from support.packs import BLOB, FILE, FOLDER, LINK, SUBMODULE, TAG, TREE, Pack

LARGE = hashlib.shake_256(b"seed").digest(700_000)
Files = dict[str, bytes]


def unpack(
    folder: Path, pack: Pack, commit: str, limit: int = 1 << 30, files: int = 1000
) -> Files:
    archive, tree = folder / f"{commit}.pack", folder / "tree"
    archive.write_bytes(pack.made())
    tree.mkdir()
    sums = archives.unpack(archive, tree, archives.PACK, limit, files=files)
    found = {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }
    assert sums == {path: hashlib.sha256(found[path]).hexdigest() for path in found}
    return found


def single(content: bytes, name: str | bytes = "a", mode: str = FILE) -> tuple[Pack, str]:
    """Make the pack of a commit with one file."""
    pack = Pack()
    blob = pack.add(BLOB, content)
    return pack, pack.commit(pack.add(TREE, packs.tree((mode, name, blob))))


def test_files_and_folders_arrive(tmp_path: Path) -> None:
    pack = Pack()
    large, small = pack.add(BLOB, LARGE), pack.add(BLOB, b"")
    below = pack.add(TREE, packs.tree((FILE, "x y", small), ("100755", "é", large)))
    root = pack.add(TREE, packs.tree((FILE, "m", large), (FOLDER, "sub", below)))
    found = unpack(tmp_path, pack, pack.commit(root))
    assert found == {"m": LARGE, "sub/x y": b"", "sub/é": LARGE}


def test_differences_are_undone(tmp_path: Path) -> None:
    pack, made = Pack(), LARGE[300_000:500_000] + b"new" + LARGE[:70_000]
    told = packs.delta(
        LARGE, made, packs.copy(300_000, 200_000), packs.insert(b"new"), packs.copy(0, 70_000)
    )
    pack.add(BLOB, LARGE)
    pack.differ(pack.back(0), told)
    # Of a difference, and with the size that is not written: 65536.
    chained = made[:65_536] + b"!"
    pack.differ(pack.back(1), packs.delta(made, chained, b"\x80", packs.insert(b"!")))
    rows = [(FILE, text, packs.name(BLOB, body)) for text, body in (("a", made), ("b", chained))]
    found = unpack(tmp_path, pack, pack.commit(pack.add(TREE, packs.tree(*rows))))
    assert found == {"a": made, "b": chained}


def test_a_base_may_come_after_what_differs_from_it(tmp_path: Path) -> None:
    pack, base, made, last = Pack(), b"base" * 30, b"base", b"as"
    pack.differ(packs.name(BLOB, made), packs.delta(made, last, packs.copy(1, 2)))
    pack.differ(packs.name(BLOB, base), packs.delta(base, made, packs.copy(0, 4)))
    pack.differ(pack.back(1), packs.delta(made, base, *[packs.copy(0, 4)] * 30))
    pack.add(BLOB, base)
    bodies = {"a": base, "b": made, "c": last}
    rows = [(FILE, text, packs.name(BLOB, body)) for text, body in bodies.items()]
    assert unpack(tmp_path, pack, pack.commit(pack.add(TREE, packs.tree(*rows)))) == bodies


def test_a_link_is_a_copy_of_its_file(tmp_path: Path) -> None:
    pack = Pack()
    text = pack.add(BLOB, b"sub/m")
    below = pack.add(TREE, packs.tree((FILE, "m", text)))
    rows = ((FILE, "file", text), (LINK, "link", text), (FOLDER, "sub", below))
    found = unpack(tmp_path, pack, pack.commit(pack.add(TREE, packs.tree(*rows))))
    assert found == {"file": b"sub/m", "link": b"sub/m", "sub/m": b"sub/m"}


@pytest.mark.parametrize(
    ("name", "mode", "content", "message"),
    [
        pytest.param("..", FILE, b"", r"entry '\.\.' has a name", id="up"),
        pytest.param("a/b", FILE, b"", "entry 'a/b' has a name", id="slash"),
        pytest.param("a\\b", FILE, b"", "has a name that is refused", id="backslash"),
        pytest.param(".Git", FILE, b"", r"entry '\.Git' has a name", id="git's own folder"),
        pytest.param("", FILE, b"", "list is not one|has a name", id="none"),
        pytest.param("a" * 300, FILE, b"", "name cannot be used here", id="long"),
        pytest.param(b"\xff" * 255, LINK, b"\xff/x", "links to no file within it", id="bytes"),
        pytest.param("a", LINK, b"../etc/passwd", "'a' links to no file within it", id="link up"),
        pytest.param("a", LINK, b"/etc/passwd", "'a' links to no file within", id="link to root"),
        pytest.param("a", LINK, b"a", "'a' links to no file within it", id="link to itself"),
        pytest.param("a", LINK, b"x" * 5000, "blob of more than 4096 bytes", id="long link"),
        pytest.param("a", "60000", b"", "of a kind that git has not", id="device"),
        pytest.param("a", SUBMODULE, b"", "'a' is a submodule, which is not", id="submodule"),
    ],
)
def test_an_entry_that_is_refused(
    name: str | bytes, mode: str, content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match=message):
        unpack(tmp_path, *single(content, name, mode))


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    pack = Pack()
    blobs = [pack.add(BLOB, b"1"), pack.add(BLOB, b"2")]
    commit = pack.commit(pack.add(TREE, packs.tree(*[(FILE, "a", blob) for blob in blobs])))
    with pytest.raises(ArchiveError, match="the repository has 'a' twice"):
        unpack(tmp_path, pack, commit)


def test_folders_that_multiply_are_refused(tmp_path: Path) -> None:
    pack = Pack()
    below = pack.add(BLOB, b"")
    mode = FILE
    for _ in range(20):
        rows = [(mode, f"{index}", below) for index in range(20)]
        below, mode = pack.add(TREE, packs.tree(*rows)), FOLDER
    with pytest.raises(ArchiveError, match="the repository has more than 1000 entries"):
        unpack(tmp_path, pack, pack.commit(below))


def test_one_file_at_many_places_counts_each_time(tmp_path: Path) -> None:
    pack = Pack()
    blob = pack.add(BLOB, LARGE)
    rows = [(FILE, f"{index}", blob) for index in range(100)]
    commit = pack.commit(pack.add(TREE, packs.tree(*rows)))
    with pytest.raises(ArchiveTooBigError, match="the repository holds more than 9000000 bytes"):
        unpack(tmp_path, pack, commit, limit=9_000_000)


BASE = packs.name(BLOB, b"base")


def differing(base: bytes, made: bytes, order: bytes) -> Pack:
    """Make a pack with a blob and a difference."""
    pack = Pack()
    pack.add(BLOB, b"base")
    pack.differ(BASE, packs.delta(base, made, order))
    return pack


def announcing(kind: int, size: int) -> Pack:
    """Make a pack with an object that announces what it is not."""
    pack = Pack()
    pack.put(kind, size, b"", b"123")
    return pack


def based(base: bytes | int) -> Pack:
    """Make a pack with a difference to nothing."""
    pack = Pack()
    pack.differ(base, packs.delta(b"base", b"b", packs.copy(0, 1)))
    return pack


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        pytest.param(announcing(BLOB, 2), "a blob is not 2 bytes", id="longer"),
        pytest.param(announcing(BLOB, 4), "a blob is not 4 bytes", id="shorter"),
        pytest.param(announcing(5, 3), "an object is of kind 5", id="no such kind"),
        pytest.param(
            differing(b"base", b"x" * 9, packs.copy(0, 9)), "leads too far", id="beyond the base"
        ),
        pytest.param(
            differing(b"other base", b"b", packs.copy(0, 1)), "to another base", id="another base"
        ),
        pytest.param(differing(b"base", b"b", b"\0"), "has order 0", id="no such order"),
        pytest.param(differing(b"base", b"bb", b"\2b"), "ends too early", id="half an order"),
        pytest.param(
            differing(b"base", b"b", packs.copy(0, 4)), "a blob is not 1 bytes", id="more"
        ),
        pytest.param(based(b"\1" * 20), "an object's base is missing", id="no base"),
        pytest.param(based(1), "an object's base is missing", id="no object there"),
        pytest.param(Pack(count=1), "the repository's pack is broken", id="fewer than announced"),
        pytest.param(
            Pack(b"\x31" + b"?" * 30, 1), "the repository's pack is broken", id="damaged"
        ),
    ],
)
def test_a_broken_pack_is_refused(pack: Pack, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=message):
        unpack(tmp_path, pack, "1" * 40)


def test_a_pack_is_no_pack(tmp_path: Path) -> None:
    (tmp_path / "x.pack").write_bytes(b"<html>" * 10)
    (tmp_path / "tree").mkdir()
    with pytest.raises(ArchiveError, match="what the server sent is no pack of git"):
        archives.unpack(tmp_path / "x.pack", tmp_path / "tree", archives.PACK, 1 << 30)


def test_too_many_objects_are_refused_before_they_are_read(tmp_path: Path) -> None:
    pack, commit = single(b"")
    pack.count = 4001
    with pytest.raises(ArchiveError, match=r"has 4001 objects .* more than 3000.*fetchMaxFiles"):
        unpack(tmp_path, pack, commit)


def test_a_tag_is_no_commit(tmp_path: Path) -> None:
    pack, commit = single(b"")
    tag = pack.add(TAG, b"object " + commit.encode())
    with pytest.raises(ArchiveError, match="the repository's pack has no commit"):
        unpack(tmp_path, pack, tag.hex())


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path) -> None:
    pack, base = Pack(), bytes(1 << 20)
    pack.add(BLOB, base)
    orders = [packs.copy(0, 1 << 20)] * 100
    pack.differ(pack.back(0), packs.delta(base, bytes(100 << 20), *orders))
    with pytest.raises(ArchiveError, match="is taken for a bomb"):
        unpack(tmp_path, pack, "1" * 40)
    assert sum(each.stat().st_size for each in tmp_path.rglob("*.blob")) == 1 << 20
