"""kubectl, as the bring-up uses it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import binaries, shell


@dataclass(frozen=True)
class Kube:
    """A cluster, by its kubeconfig."""

    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it said."""
        program = binaries.ensure("kubernetes") / "kubectl"
        argv = [str(program), f"--kubeconfig={self.kubeconfig}", *arguments]
        return shell.run(argv, stdin=stdin)

    def apply(self, objects: Sequence[object]) -> None:
        """Apply objects, whole."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "-f", "-", stdin=json.dumps(items))

    def apply_files(self, *paths: Path) -> None:
        """Apply files or folders on the server's side; CRDs are too big for the other way."""
        files = [f"--filename={path}" for path in paths]
        self.run("apply", "--server-side", "--force-conflicts", *files)
