"""Every weakness of upstream has a test here that upstream would fail, or a word on when."""

import ast
import re
from collections.abc import Iterator

from contract.conftest import CHECKOUT

NUMBERS = {f"M{number}" for number in range(1, 25)} | {f"C{number}" for number in range(1, 37)}
# They come with the data path, placement, canaries, the other components and routes.
LATER = {
    *("M19", "M20", "M23"),
    *("C2", "C3", "C12", "C17", "C19"),
}
PAGE = CHECKOUT / "docs" / "weaknesses.md"


def marked() -> Iterator[tuple[str, str]]:
    """Yield each weakness with a test that is marked with it."""
    for path in sorted((CHECKOUT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                place = f"{path.relative_to(CHECKOUT)}::{node.name}"
                for mark in node.decorator_list:
                    found = re.fullmatch(
                        r"pytest\.mark\.weakness\('([MC]\d+)'\)", ast.unparse(mark)
                    )
                    if found:
                        yield found[1], place


def told() -> set[tuple[str, str]]:
    """Return the pairs that the page lists."""
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [MC]\d", line)]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {(row[0], place) for row in cells for place in re.findall(r"`(tests/\S+)`", row[2])}


def test_every_weakness_has_a_test() -> None:
    assert {number for number, _ in marked()} == NUMBERS - LATER


def test_the_page_lists_the_tests_that_are_marked() -> None:
    assert told() == set(marked())


def test_the_page_says_which_come_later() -> None:
    rows = re.findall(
        r"^\| ([MC]\d+) \|.*\| later: it comes with ", PAGE.read_text(), re.MULTILINE
    )
    assert sorted(rows) == sorted(LATER)
