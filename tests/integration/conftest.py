import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster import controlplane

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ApiServer:
    """A real API server of this run alone, with our CRDs installed."""

    kubeconfig: Path
    settings: controlplane.Settings

    def kubectl(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator, with `text` as its input."""
        home = Path(os.environ.get("SHOAL_HOME") or Path.home() / ".cache" / "shoal")
        program = shutil.which("kubectl", path=f"{home / 'bin'}:{os.environ['PATH']}")
        assert program, "kubectl is neither in SHOAL_HOME/bin nor on PATH"
        return subprocess.run(  # noqa: S603 - arguments are this ring's own
            [program, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server without a node; the tests fail where it cannot start."""
    with running(tmp_path_factory.mktemp("controlplane")) as server:
        yield server


@contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """Run an API server with our CRDs until the end of the block."""
    base = controlplane.free_base()
    settings = controlplane.Settings(folder, base, audit_log=folder / "audit.log")
    try:
        server = ApiServer(controlplane.start(settings), settings)
        install_crds(server)
        yield server
    finally:
        controlplane.stop(folder)


def install_crds(server: ApiServer) -> None:
    """Apply our CRDs, and wait until they are served."""
    done = server.kubectl("apply", "--server-side", "-f", str(CHECKOUT / "crds"))
    assert done.returncode == 0, done.stderr
    # `kubectl wait` gives up at once on a CRD that has no conditions yet.
    for _ in range(60):
        if server.kubectl("wait", "--for=condition=Established", "crd", "--all").returncode == 0:
            return
        time.sleep(0.5)
    pytest.fail("the CRDs are not served after 30 s")
