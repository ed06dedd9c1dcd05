import hashlib
import random
from contextlib import closing
from pathlib import Path

import pytest

from shoal.storage import partials
from shoal.storage.partials import File, Partial, Span

CONTENT = random.Random(1).randbytes(1000)  # noqa: S311 - any bytes


def write(file: File, *spans: Span) -> None:
    for start, end in spans:
        file.write(start, CONTENT[start:end])


@pytest.mark.parametrize(
    "spans",
    [
        pytest.param([(0, 1000)], id="at once"),
        pytest.param([(0, 300), (300, 700), (700, 1000)], id="in order"),
        pytest.param([(700, 1000), (300, 700), (0, 300)], id="backwards"),
        pytest.param([(300, 700), (0, 300), (700, 1000)], id="mixed"),
        pytest.param([(0, 600), (300, 700), (600, 1000)], id="overlapping"),
    ],
)
def test_the_sum_follows_pieces_in_any_order(tmp_path: Path, spans: list[Span]) -> None:
    with closing(Partial(tmp_path)) as partial:
        file = partial.file("tree/a", 1000)
        write(file, *spans)
        assert list(file.missing(lambda: 400)) == []
        assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / "tree" / "a").read_bytes() == CONTENT


def test_a_sum_that_nobody_wants_is_not_made_on_the_way(tmp_path: Path) -> None:
    with closing(Partial(tmp_path, is_summed=False)) as partial:
        file = partial.file("tree/a", 1000)
        write(file, (0, 1000))
        (tmp_path / "tree" / "a").write_bytes(b"x" * 1000)
        assert file.sha256() == hashlib.sha256(b"x" * 1000).hexdigest(), "it is read anew"


class Growing(File):
    """A file whose hole is filled while its sum is read over."""

    looks = -9  # until the test begins to count

    def _reach(self) -> int:
        self.looks += 1
        if self.looks == 2:
            write(self, (200, 900))
        return super()._reach()


def test_bytes_that_come_while_others_are_summed_are_not_read_too_early(tmp_path: Path) -> None:
    with closing(Partial(tmp_path)) as partial:
        file = Growing(partial, "a", 1000, [])
        write(file, (900, 1000), (100, 200))
        file.looks = 0
        write(file, (0, 100))
        assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()


def test_the_next_try_fetches_only_what_is_missing(tmp_path: Path) -> None:
    with closing(Partial(tmp_path)) as partial:
        write(partial.file("a", 1000), (100, 200), (400, 500), (500, 600))
    assert partials.written(tmp_path) == 300
    with closing(Partial(tmp_path)) as partial:
        file = partial.file("a", 1000)
        missing = list(file.missing(lambda: 150))
        assert missing == [(0, 100), (200, 350), (350, 400), (600, 750), (750, 900), (900, 1000)]
        write(file, *missing)
        assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("cut", "missing"),
    [
        pytest.param(1, [(300, 1000)], id="the line's end"),
        pytest.param(8, [(100, 200), (300, 1000)], id="half a line"),
        pytest.param(15, [(100, 200), (300, 1000)], id="nearly a line"),
        pytest.param(22, [(0, 200), (300, 1000)], id="more than a line"),
    ],
)
def test_half_a_line_of_a_killed_process_harms_nothing(
    tmp_path: Path, cut: int, missing: list[Span]
) -> None:
    with closing(Partial(tmp_path)) as partial:
        write(partial.file("a", 1000), (0, 100), (100, 200))
    journal = tmp_path / partials.JOURNAL
    journal.write_bytes(journal.read_bytes()[:-cut])
    with closing(Partial(tmp_path)) as partial:
        write(partial.file("a", 1000), (200, 300))
    with closing(Partial(tmp_path)) as partial:
        assert list(partial.file("a", 1000).missing(lambda: 1000)) == missing


def test_a_file_that_is_gone_is_fetched_whole_also_after_the_next_kill(tmp_path: Path) -> None:
    with closing(Partial(tmp_path)) as partial:
        write(partial.file("a", 1000), (0, 1000))
    (tmp_path / "a").unlink()
    with closing(Partial(tmp_path)) as partial:
        file = partial.file("a", 1000)
        assert list(file.missing(lambda: 1000)) == [(0, 1000)]
        write(file, (900, 1000))
    with closing(Partial(tmp_path)) as partial:
        assert list(partial.file("a", 1000).missing(lambda: 1000)) == [(0, 900)]


def test_another_size_begins_anew(tmp_path: Path) -> None:
    with closing(Partial(tmp_path)) as partial:
        write(partial.file("a", 1000), (0, 1000))
    with closing(Partial(tmp_path)) as partial:
        assert list(partial.file("a", 500).missing(lambda: 1000)) == [(0, 500)]


def test_a_cleared_file_is_summed_from_its_start(tmp_path: Path) -> None:
    with closing(Partial(tmp_path)) as partial:
        file = partial.file("a", 1000)
        file.write(0, b"other")
        file.clear()
        write(file, (0, 1000))
        assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()


def test_nothing_is_noted_after_the_end(tmp_path: Path) -> None:
    with closing(Partial(tmp_path)) as partial:
        file = partial.file("a", 1000)
        write(file, (0, 100))
    write(file, (100, 200))  # a thread that outlived its task
    assert partials.written(tmp_path) == 100


def test_no_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a").symlink_to(tmp_path / "victim")
    with closing(Partial(tmp_path / "work")) as partial, pytest.raises(OSError, match="symbolic"):
        write(partial.file("a", 1000), (0, 1000))
    assert (tmp_path / "victim").read_bytes() == b"kept"
