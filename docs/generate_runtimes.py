"""Writes into docs/runtimes.md which runtimes the tests run, and which they only render.

A runtime is run by tests of tests/e2e that carry `@pytest.mark.runtime(NAME, image=FOLDER)`, and
rendered by the golden cases whose Deployment was made from it. `make generate` runs this; a test
runs it again and compares.
"""
# ruff: noqa: INP001 - a command, not a package

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "runtimes.md"
GOLDEN = ROOT / "tests" / "golden"
BEGIN, END = "<!-- made by docs/generate_runtimes.py -->\n", "<!-- so far -->\n"
HEAD = "| ClusterServingRuntime | run on a node | pods rendered, and checked by schema |\n"
CUSTOM = "shoal-custom"  # installed only with an image of somebody's own


def names() -> list[str]:
    """Name the runtimes of the chart."""
    text = (GOLDEN / "runtimes.yaml").read_text()
    return sorted([*re.findall(r"^  name: (\S+)$", text, re.MULTILINE), CUSTOM])


def run() -> Iterator[tuple[str, str, str]]:
    """Give each runtime that a test runs, the image, and the test."""
    for path in sorted((ROOT / "tests" / "e2e").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for name, image in _marks(node):
                yield name, image, f"{path.relative_to(ROOT)}::{getattr(node, 'name', '')}"


def _marks(node: ast.AST) -> Iterator[tuple[str, str]]:
    for mark in getattr(node, "decorator_list", []):
        words = re.fullmatch(
            r"pytest\.mark\.runtime\('([^']+)', image='([^']+)'\)", ast.unparse(mark)
        )
        if words:
            yield words[1], words[2]


def rendered() -> Iterator[tuple[str, str]]:
    """Give each runtime that a golden case is made from, and the case."""
    told = re.compile(
        r"internal\.serving\.kserve\.io/serving-runtime: ClusterServingRuntime/(\S+)"
    )
    for path in sorted(GOLDEN.glob("*/children.yaml")):
        for name in told.findall(path.read_text()):
            yield name, path.parent.name


def text() -> str:
    """Write the table."""
    tests: dict[str, dict[str, list[str]]] = {}
    for name, image, place in run():
        tests.setdefault(name, {}).setdefault(image, []).append(place)
    cases: dict[str, list[str]] = {}
    for name, case in rendered():
        cases.setdefault(name, []).append(case)
    rows = [f"| `{name}` | {_run(tests.get(name, {}))} | {_listed(cases.get(name, []))} |"
            for name in names()]  # fmt: skip
    return HEAD + "|---|---|---|\n" + "\n".join(rows) + "\n"


def _run(images: dict[str, list[str]]) -> str:
    return (
        "; ".join(
            f"with [{image}](../{image}): {_listed(places)}" for image, places in images.items()
        )
        or "no"
    )


def _listed(places: list[str]) -> str:
    return ", ".join(f"`{place}`" for place in dict.fromkeys(places)) or "no"


def page() -> str:
    """Write the page with the table in its place."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{text()}{END}{after}"


if __name__ == "__main__":
    sys.exit(0 if PAGE.write_text(page()) else 1)
