"""Run an emulator of Google Cloud Storage in the cluster.

``eval "$(python3 tests/cluster/gcs.py)"`` sets SHOAL_GCS. Pods reach it as
``http://fake-gcs-server.storage:4443``; its buckets go with its pod.
"""

import sys
from pathlib import Path

if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster import home, progress, providers, s3
from cluster.kube import Kube
from cluster.shell import CommandError

PORT = 4443


def main() -> int:
    """Deploy the server; return the exit code."""
    try:
        url = s3.serve(Kube(home.cluster() / "kubeconfig"), "fake-gcs-server", PORT)
    except (providers.NoClusterError, CommandError) as error:
        progress.say(str(error))
        return 1
    progress.export({"SHOAL_GCS": url})
    return 0


if __name__ == "__main__":
    sys.exit(main())
