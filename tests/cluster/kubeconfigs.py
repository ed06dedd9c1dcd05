"""Kubeconfig files, written as JSON, which every reader of YAML takes."""

import base64
import json
from pathlib import Path

from cluster.certificates import Pair


def write(path: Path, *, server: str, ca: Path, client: Pair) -> Path:
    """Write a kubeconfig whose only context is ``shoal``; leave an equal file alone."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "shoal",
                "cluster": {"server": server, "certificate-authority-data": _inline(ca)},
            }
        ],
        "users": [
            {
                "name": "shoal",
                "user": {
                    "client-certificate-data": _inline(client.certificate),
                    "client-key-data": _inline(client.key),
                },
            }
        ],
        "contexts": [{"name": "shoal", "context": {"cluster": "shoal", "user": "shoal"}}],
        "current-context": "shoal",
    }
    text = json.dumps(content, indent=2) + "\n"
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    return path


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
