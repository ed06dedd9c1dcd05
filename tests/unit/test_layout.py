"""Sizes and shapes that no linter checks (docs/style.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "operator" / "shoal").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BANNED = ("ensure", "handle", "process", "manage", "do", "util", "helper", "common")


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=identify)
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_a_module_says_what_is_here(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_a_function_says_what_it_does(path: Path) -> None:
    verbs = {node.name.strip("_").split("_")[0] for node in functions(path)}
    assert verbs.isdisjoint(BANNED)


def kopf_handlers() -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    path = ROOT / "operator" / "shoal" / "handlers" / "watches.py"
    return [node for node in functions(path) if node.args.kwarg is not None]


def test_there_are_kopf_handlers() -> None:
    assert {node.name for node in kopf_handlers()} == {"login", "receive"}


@pytest.mark.parametrize("node", kopf_handlers(), ids=lambda node: node.name)
def test_a_kopf_handler_is_short(node: ast.AsyncFunctionDef) -> None:
    assert (node.end_lineno or 0) - node.lineno <= 12


def test_operator_is_an_import_root_and_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not [path for path in (ROOT / "tests").rglob("operator") if path.is_dir()]
