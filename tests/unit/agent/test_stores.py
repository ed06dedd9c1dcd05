import os
from pathlib import Path

import pytest

from shoal.agent.plans import Record, Version
from shoal.agent.stores import Store

TREES = "trees"
BLOCK = 4096
NOTES = 5 * BLOCK  # of each tree: its folder, and what is noted about it


class Rig:
    """A store on a folder of its own, and trees in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = self.reopened()

    def reopened(self) -> Store:
        self.store = Store(str(self.folder / "models"), str(self.folder / "store"))
        self.store.open()
        return self.store

    def hold(self, name: str, size: int = 1, fingerprint: str = "") -> str:
        """Hold a tree with one file; return its digest."""
        work = self.store.workplace()
        (work / "tree").mkdir()
        (work / "tree" / "file").write_bytes(name.encode().ljust(size, b"."))
        tree, taken = self.store.seal(work, {})
        self.store.adopt(work, tree, taken, fingerprint)
        self.store.discard(work)
        return tree

    def serve(self, model: str, *versions: str) -> None:
        """Serve the first version of a model, after the second one."""
        loaded, *before = [Version(f"of-{tree}", tree) for tree in versions]
        self.store.link(model, loaded.tree)
        self.store.note(model, Record(loaded, before[0] if before else None))

    def unneeded(self) -> list[str]:
        return [name for name, _ in self.store.unneeded()]

    def age(self, *trees: str) -> None:
        """Let these have been in use last, one after the other, long ago."""
        for seconds, tree in enumerate(trees):
            os.utime(self.folder / "store" / "uses" / tree, (1000 + seconds, 1000 + seconds))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_what_is_served_is_needed_and_what_was_before_is_not(rig: Rig) -> None:
    now, before, other = rig.hold("now"), rig.hold("before"), rig.hold("other")
    rig.serve("m", now, before)
    rig.age(other, before)
    assert rig.unneeded() == [other, before]


def test_a_link_alone_needs_its_tree(rig: Rig) -> None:
    tree = rig.hold("a")
    rig.store.link("m", tree)
    assert rig.unneeded() == []


def test_what_a_task_pinned_is_needed_until_it_lets_go(rig: Rig) -> None:
    tree = rig.hold("a")
    assert rig.store.pin("m", tree)
    assert rig.unneeded() == []
    rig.store.unpin("m")
    assert rig.unneeded() == [tree]
    assert not rig.store.pin("m", "gone")


def test_what_was_served_until_now_goes_last(rig: Rig) -> None:
    old, left = rig.hold("old"), rig.hold("left")
    rig.serve("m", left)
    rig.age(left, old)
    rig.store.unlink("m")
    rig.store.forget("m")
    assert rig.unneeded() == [old, left]


async def test_a_tree_that_is_dropped_is_counted_and_known_no_more(rig: Rig) -> None:
    tree = rig.hold("a", 5 * BLOCK, fingerprint="listing")
    assert (rig.store.used(), rig.store.source("listing")) == (5 * BLOCK + NOTES, tree)
    await rig.store.drop([tree])
    assert (rig.store.used(), rig.store.source("listing")) == (0, "")
    assert list((rig.folder / "store" / "uses").iterdir()) == []
    assert list((rig.folder / "store" / "work").iterdir()) == []


def test_identical_content_is_held_and_counted_once(rig: Rig) -> None:
    one = rig.hold("a", fingerprint="one")
    two = rig.hold("a", fingerprint="two")
    assert one == two
    assert rig.store.used() == BLOCK + NOTES
    assert rig.store.source("one") == rig.store.source("two") == one


def test_a_killed_agent_leaves_nothing_uncounted(rig: Rig) -> None:
    served, unused = rig.hold("served", 3 * BLOCK), rig.hold("unused", 2 * BLOCK)
    rig.serve("m", served)
    half = rig.store.workplace()
    (half / "half").write_bytes(b"x" * BLOCK)
    partial = rig.store.partials.take("listing")
    assert partial is not None
    (partial / "part").write_bytes(b"x" * BLOCK)
    store = rig.reopened()
    assert store.used() == 5 * BLOCK + 2 * NOTES + BLOCK + NOTES
    assert {name for name, _ in store.unneeded()} == {unused, "listing"}
    assert not half.exists()


async def test_an_idle_half_download_can_be_dropped_and_a_running_one_is_left_alone(
    rig: Rig,
) -> None:
    work = rig.store.partials.take("listing")
    assert work is not None
    assert rig.unneeded() == []
    rig.store.partials.leave(work)
    assert rig.unneeded() == ["listing"]
    await rig.store.drop(["listing"])
    assert not work.exists()
    assert rig.store.used() == 0


def test_a_folder_of_somebody_else_is_in_the_way(rig: Rig) -> None:
    tree = rig.hold("a")
    (rig.folder / "models" / "m").mkdir()
    with pytest.raises(FileExistsError, match="is in the way"):
        rig.store.link("m", tree)


def test_a_note_that_cannot_be_read_is_none(rig: Rig) -> None:
    (rig.folder / "store" / "records" / "m").write_text("{")
    assert rig.store.record("m") is None
    assert rig.store.known() == {"m"}
