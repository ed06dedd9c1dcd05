from pathlib import Path

import pytest

from shoal.agent.destinations import NOTE, PARTIAL, Destination
from shoal.storage import transfers


def bring(destination: Destination, fingerprint: str, **files: str) -> None:
    """Do what a download does; `__` in a name stands for a slash."""
    work = destination.work(fingerprint)
    for name, content in files.items():
        path = work / transfers.TREE / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    destination.adopt(work, fingerprint)


def found(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != NOTE)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def test_what_is_brought_is_held_until_it_is_another_or_damaged(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    assert not destination.holds("one")
    bring(destination, "one", a="1", b__c="2")
    assert found(tmp_path) == {"a": "1", "b/c": "2"}
    assert destination.holds("one")
    assert not destination.holds("two")
    (tmp_path / "a").unlink()
    assert not destination.holds("one")


def test_what_has_no_fingerprint_is_never_held(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    bring(destination, "", a="1")
    assert found(tmp_path) == {"a": "1"}
    assert not destination.holds("")


def test_the_next_content_takes_the_place_of_the_last_alone(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    (tmp_path / "foreign").write_text("stays")
    bring(destination, "one", a="1", b__c__d="2")
    bring(destination, "two", a="11", e="3")
    assert found(tmp_path) == {"foreign": "stays", "a": "11", "e": "3"}
    assert not (tmp_path / "b").exists()


def test_a_kill_between_two_moves_leaves_nothing_foreign(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    work = destination.work("one")
    tree = work / transfers.TREE
    tree.mkdir()
    (tree / "a").write_text("1")
    (tmp_path / "b").mkdir()  # where the second file is to go
    (tree / "b").write_text("2")
    with pytest.raises(OSError, match="directory"):
        destination.adopt(work, "one")
    (tmp_path / "b").rmdir()
    assert not Destination(tmp_path).holds("one")
    bring(Destination(tmp_path), "two", c="3")
    assert found(tmp_path) == {"c": "3"}


def test_links_lead_to_a_tree_elsewhere(tmp_path: Path) -> None:
    tree = tmp_path / "cache" / "tree"
    (tree / "b").mkdir(parents=True)
    (tree / "a").write_text("1")
    (tree / "b" / "c").write_text("2")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "foreign").write_text("stays")
    destination = Destination(folder)
    bring(destination, "one", a="0", d="0")
    (destination.work("two") / transfers.TREE).mkdir()

    for _ in range(2):  # as a container that is started again does it
        destination.link(tree, "two")

    links = {path.name: path.readlink() for path in folder.iterdir() if path.is_symlink()}
    assert links == {"a": tree / "a", "b": tree / "b"}
    assert sorted(path.name for path in folder.iterdir()) == [NOTE, "a", "b", "foreign"]
    assert (folder / "b" / "c").read_text() == "2"
    assert destination.holds("two")
    bring(destination, "three", a="3")
    assert found(folder) == {"a": "3", "foreign": "stays"}
    assert found(tree) == {"a": "1", "b/c": "2"}


def test_a_note_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text('{"odd": 1}')
    destination = Destination(tmp_path)
    assert not destination.holds("one")
    bring(destination, "one", a="1")
    assert destination.holds("one")


@pytest.mark.parametrize(
    ("fingerprint", "again", "kept"),
    [
        pytest.param("one", "one", True, id="the-same-content-goes-on"),
        pytest.param("one", "two", False, id="another-begins-anew"),
        pytest.param("", "", False, id="so-does-what-has-no-fingerprint"),
    ],
)
def test_a_half_download(tmp_path: Path, fingerprint: str, again: str, *, kept: bool) -> None:
    half = Destination(tmp_path).work(fingerprint) / "half"
    half.write_text("x")
    Destination(tmp_path).work(again)
    assert half.exists() is kept


def test_a_half_download_of_another_boot_is_not_believed(tmp_path: Path) -> None:
    half = Destination(tmp_path).work("one") / "half"
    half.write_text("x")
    (tmp_path / PARTIAL / "boot").write_text("another")
    Destination(tmp_path).work("one")
    assert not half.exists()


def test_a_model_of_another_boot_is_brought_again(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    bring(destination, "one", a="1")
    note = tmp_path / NOTE
    note.write_text(note.read_text().replace('"boot": "', '"boot": "other'))
    assert not destination.holds("one")


def test_a_folder_that_is_not_there_has_no_room(tmp_path: Path) -> None:
    assert Destination(tmp_path / "none").room() == 0
    assert Destination(tmp_path).room() > 0
