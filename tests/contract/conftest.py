import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import manifests

CHECKOUT = Path(__file__).resolve().parents[2]
CHART = CHECKOUT / "charts" / "shoal"
KUBERNETES = "1.34.4"

Helm = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def helm() -> Helm:
    """A run of Helm; `make contract` has built it."""
    home = Path(os.environ.get("SHOAL_HOME") or Path.home() / ".cache" / "shoal")
    program = shutil.which("helm", path=f"{home / 'bin'}:{os.environ['PATH']}")
    assert program, "helm is neither in SHOAL_HOME/bin nor on PATH: run `make contract`"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - arguments are this ring's own
            [program, *arguments], capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="session")
def render(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """What `helm template` makes of the chart with some values; the definitions only on demand."""

    def rendered(
        values: Mapping[str, Any] | None = None, *, crds: bool = False
    ) -> list[dict[str, Any]]:
        file = tmp_path_factory.mktemp("values") / "values.yaml"
        file.write_text(yaml.safe_dump({"crds": {"install": crds}, **(values or {})}))
        done = helm(
            *("template", "shoal", str(CHART), "--namespace", "shoal-system"),
            *("--kube-version", KUBERNETES, "--values", str(file)),
        )
        assert done.returncode == 0, done.stderr
        return manifests.parse(done.stdout)

    return rendered
