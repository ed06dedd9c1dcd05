"""What the documents say of the code is what the code is."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from contract.conftest import CHECKOUT
from shoal.reasons import Condition, Reason

DOCS = CHECKOUT / "docs"
PAGES = sorted(
    path
    for folder in ("docs", "examples", ".")
    for path in (CHECKOUT / folder).glob("*.md" if folder == "." else "**/*.md")
)


def layers_drawn() -> list[list[str]]:
    text = (DOCS / "architecture.md").read_text()
    picture = text.split("<!-- layers", 1)[1].split("```")[1]
    rows = [line.strip("│ ") for line in picture.splitlines() if line.startswith("│")]
    return [re.split(r" ([|:]) ", row) for row in rows]


def layers_in_force() -> list[list[str]]:
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [re.split(r" ([|:]) ", layer) for layer in layers]


def test_the_picture_draws_the_layers_in_force() -> None:
    assert layers_drawn() == layers_in_force()


def test_every_room_is_drawn() -> None:
    drawn = {room for row in layers_drawn() for room in row}
    rooms = {path.stem for path in (CHECKOUT / "operator" / "shoal").glob("[!.]*")}
    assert rooms - {"__init__", "__pycache__", "py"} == drawn - {"|", ":"}


def test_every_room_is_described() -> None:
    text = (DOCS / "architecture.md").read_text()
    table = "\n".join(line for line in text.splitlines() if line.startswith("| `"))
    for room in {room for row in layers_drawn() for room in row} - {"|", ":"}:
        assert f"`{room}`" in table, room


def explained() -> set[str]:
    text = (DOCS / "troubleshooting.md").read_text()
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert str(reason) in explained()


def test_no_reason_is_made_up() -> None:
    assert explained() <= {str(reason) for reason in Reason}


@pytest.mark.parametrize("condition", Condition)
def test_every_condition_is_mentioned(condition: Condition) -> None:
    pages = (DOCS / "architecture.md", DOCS / "troubleshooting.md")
    words = {word for page in pages for word in re.findall(r"\w+", page.read_text())}
    assert str(condition) in words


def test_the_reference_is_generated_from_the_types() -> None:
    page = runpy.run_path(str(DOCS / "generate.py"))["text"]()
    assert page == (DOCS / "reference" / "config.md").read_text(), "run `make generate`"


def test_what_is_run_and_what_is_rendered_is_told_from_the_tests() -> None:
    made = runpy.run_path(str(DOCS / "generate_runtimes.py"))
    assert made["page"]() == (DOCS / "runtimes.md").read_text(), "run `make generate`"
    known = {*made["names"]()}
    run = {name for name, _, _ in made["run"]()}
    rendered = {name for name, _ in made["rendered"]()}
    assert run <= known
    assert known - run <= rendered


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"^make ([a-z0-9 -]+)|`make ([a-z0-9-]+)", page.read_text(), re.MULTILINE)
    words = {word for pair in named for part in pair for word in part.split()}
    assert words <= targets()


def test_make_help_lists_what_there_is_to_do() -> None:
    wanted = (
        "demo demo-down test cluster cluster-down image install lint unit integration e2e golden "
        "generate verify bench contract"
    )
    listed = re.findall(r"^([a-z0-9-]+):.*## ", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert set(wanted.split()) <= set(listed)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert (CHECKOUT / ".ci" / "run").read_text().rstrip().endswith("exec make test")
    assert "make test " in (CHECKOUT / "README.md").read_text()
