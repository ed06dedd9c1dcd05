"""Three ways to have a cluster, in order of preference; called by ``up.py`` and ``image.py``.

1. the kube-context named in SHOAL_CONTEXT, never another by accident;
2. kind, where Docker works. Not tried on the machine this was written on: kept small;
3. the cluster built here, where there is root on Linux.
"""

import json
import os
import shutil
import sys

from cluster import binaries, built, home, shell
from cluster.kube import Kube

_KIND_NAME = "shoal"
_KIND_PORT = 8080
_KIND_CONFIG = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [
        {
            "role": "control-plane",
            "extraPortMappings": [{"containerPort": 80, "hostPort": _KIND_PORT}],
        }
    ],
}
_MISSING = """no cluster can be had here. Any one of these would do:
  - a cluster of yours: set SHOAL_CONTEXT to the name of a kube-context and SHOAL_INGRESS to the
    host:port of its ingress controller;
  - kind: install Docker (`docker info` must work) and kind;
  - a cluster built here: Linux, root (this user is not), apt-get, and a few minutes."""


class NoClusterError(Exception):
    """No way to have a cluster is open; the message says what each would take."""


def choose() -> str:
    """Return ``context``, ``kind`` or ``built``. Raises NoClusterError."""
    if os.environ.get("SHOAL_CONTEXT"):
        return "context"
    # A cluster that runs stays the one: Docker may have been installed since.
    remembered = _remembered()
    if remembered:
        return remembered
    if shell.which("kind") and docker_works():
        return "kind"
    if sys.platform == "linux" and os.geteuid() == 0 and shell.which("apt-get"):
        return "built"
    raise NoClusterError(_MISSING)


def docker_works() -> bool:
    """Say whether there is a Docker engine that answers."""
    return shell.succeeds(["docker", "info"])


def up(provider: str) -> dict[str, str]:
    """Have the cluster; return what a shell needs to use it. Raises NoClusterError."""
    remembered = _remembered()
    if remembered not in {None, provider}:
        raise NoClusterError(f"a cluster of the kind {remembered!r} is up: run down.py first")
    home.cluster().mkdir(parents=True, exist_ok=True)
    (home.cluster() / "provider").write_text(provider)
    ways = {"context": _context, "kind": _kind, "built": built.up}
    return ways[provider]()


def down(provider: str) -> None:
    """Remove the cluster; one of the user's is left alone."""
    if provider == "kind":
        shell.run(["kind", "delete", "cluster", "--name", _KIND_NAME])
    if provider == "built":
        built.down()
    shutil.rmtree(home.cluster(), ignore_errors=True)


def _remembered() -> str | None:
    path = home.cluster() / "provider"
    return path.read_text().strip() if path.exists() else None


def _context() -> dict[str, str]:
    context = os.environ["SHOAL_CONTEXT"]
    ingress = os.environ.get("SHOAL_INGRESS")
    if not ingress:
        raise NoClusterError(f"context {context}: set SHOAL_INGRESS to its ingress's host:port")
    kubectl = str(binaries.ensure("kubernetes") / "kubectl")
    argv = [kubectl, "config", "view", "--minify", "--flatten", "--context", context]
    kubeconfig = home.cluster() / "kubeconfig"
    kubeconfig.write_text(shell.run(argv))
    kubeconfig.chmod(0o600)
    Kube(kubeconfig).run("get", "--raw", "/readyz")
    return {"KUBECONFIG": str(kubeconfig), "SHOAL_INGRESS": ingress}


def _kind() -> dict[str, str]:
    kubeconfig = home.cluster() / "kubeconfig"
    if _KIND_NAME not in shell.run(["kind", "get", "clusters"]).split():
        config = home.cluster() / "kind.json"
        config.write_text(json.dumps(_KIND_CONFIG))
        argv = ["kind", "create", "cluster", "--name", _KIND_NAME, "--config", str(config)]
        shell.run([*argv, "--kubeconfig", str(kubeconfig), "--wait", "120s"])
    shell.run(
        ["kind", "export", "kubeconfig", "--name", _KIND_NAME, "--kubeconfig", str(kubeconfig)]
    )
    contour = binaries.module_folder("contour", "github.com/projectcontour/contour")
    Kube(kubeconfig).apply_files(contour / "examples" / "render" / "contour.yaml")
    return {"KUBECONFIG": str(kubeconfig), "SHOAL_INGRESS": f"127.0.0.1:{_KIND_PORT}"}
