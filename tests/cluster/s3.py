"""Run an S3 server in the cluster: ``eval "$(python3 tests/cluster/s3.py)"`` sets SHOAL_S3."""

import sys
from pathlib import Path

if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster import home, image, progress, providers
from cluster.kube import Kube
from cluster.shell import CommandError

PORT = 9000


def ensure(kube: Kube) -> str:
    """Have the S3 server running; return its URL, which the host reaches too."""
    return serve(kube, "versitygw", PORT)


def serve(kube: Kube, name: str, port: int) -> str:
    """Have a store of this name running in the cluster; return its URL."""
    image.ensure_builtin(name)
    kube.run("apply", "-f", str(home.HERE / "manifests" / f"{name}.yaml"))
    with progress.step(f"waiting for {name}"):
        kube.run("-n", "storage", "rollout", "status", f"deployment/{name}", "--timeout=120s")
    service = ["-n", "storage", "get", "service", name]
    address = kube.run(*service, "-o", "jsonpath={.spec.clusterIP}")
    return f"http://{address}:{port}"


def main() -> int:
    """Deploy the server; return the exit code."""
    try:
        url = ensure(Kube(home.cluster() / "kubeconfig"))
    except (providers.NoClusterError, CommandError) as error:
        progress.say(str(error))
        return 1
    progress.export({"SHOAL_S3": url})
    return 0


if __name__ == "__main__":
    sys.exit(main())
