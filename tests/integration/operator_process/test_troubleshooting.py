"""What docs/troubleshooting.md says of ten broken manifests is what a user reads."""

import asyncio
import re
from dataclasses import dataclass

import pytest
import yaml

from integration.operator_process.apis import until
from integration.operator_process.programs import CHECKOUT
from integration.operator_process.worlds import World

PAGE = CHECKOUT / "docs" / "troubleshooting.md"
CASE = re.compile(
    r"^### \d+\. (?P<title>.+?)\n.*?^```yaml\n(?P<manifest>.*?)^```\n\n(?P<how>.*?)\n\n"
    r"```text\n(?P<said>.*?)\n```\n\n(?P<way>\S.*?)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Case:
    """A manifest, and what is said of it; a line of that may leave parts out."""

    title: str
    manifest: str
    how: str
    said: str
    way: str

    @property
    def name(self) -> str:
        found: str = yaml.safe_load(self.manifest)["metadata"]["name"]
        return found

    @property
    def is_refused(self) -> bool:
        return "kubectl apply" in self.how

    def missing(self, output: str) -> list[str]:
        """List the lines that an output does not have."""
        shown = " ".join(output.split())
        return [line for line in self.said.splitlines() if not _pattern(line).search(shown)]


def _pattern(line: str) -> re.Pattern[str]:
    parts = (r"\s+".join(map(re.escape, part.split())) for part in line.split("…"))
    return re.compile(".*?".join(parts))


CASES = [Case(**found.groupdict()) for found in CASE.finditer(PAGE.read_text())]


def test_there_are_ten() -> None:
    assert len(CASES) == 10


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_it_is_said_as_the_page_has_it(world: World, case: Case) -> None:
    here = f"--namespace={world.namespace}"
    if not case.is_refused:
        await world.operator()

    done = await asyncio.to_thread(world.kubectl, here, "apply", "-f", "-", text=case.manifest)

    assert (done.returncode != 0) == case.is_refused, done.stderr
    if case.is_refused:
        assert case.missing(done.stderr) == [], done.stderr
        return

    async def said() -> bool:
        output = await world.see("describe", "isvc", case.name)
        assert case.missing(output) == [], output
        return True

    await until(said)
