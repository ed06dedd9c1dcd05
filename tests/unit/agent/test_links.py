from pathlib import Path

from shoal.agent.stores import Store
from shoal.storage import trees


def times(store: Path, tree: str) -> list[int]:
    root = store / "trees" / tree
    return [path.stat().st_mtime_ns for path in (root, root / "1")]


def test_the_folders_look_newer_at_every_switch(tmp_path: Path) -> None:
    """Triton loads nothing when they do not, also on the way back to older bytes."""
    root = tmp_path / "store"
    store = Store(str(tmp_path / "models"), str(root))
    store.open()
    for tree in ("old", "new"):
        (root / "trees" / tree / "1").mkdir(parents=True)
    last = 0
    for tree in ("old", "new", "old", "old", "new"):
        store.link("m", tree)
        assert min(times(root, tree)) > last
        last = max(times(root, tree))
    assert (tmp_path / "models" / "m").resolve() == root / "trees" / "new"


def test_a_clock_that_goes_back_is_no_excuse(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = Store(str(tmp_path / "models"), str(root))
    store.open()
    for tree in ("old", "new"):
        (root / "trees" / tree / "1").mkdir(parents=True)
    store.link("m", "old")
    ahead = times(root, "old")[0] + 3600 * 10**9
    trees.touch(root / "trees" / "old", ahead)
    store.link("m", "new")
    assert min(times(root, "new")) > ahead
