"""Images of one static program, written without any tool for images.

The result is what ``docker save`` writes; containerd, Docker and kind all read it.
"""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StaticImage:
    """An image ``FROM scratch`` with one program at ``/<its name>``, run as a numeric user."""

    tag: str
    program: Path
    name: str
    user: str = "65532:65532"

    def write(self, target: Path) -> Path:
        """Write the archive; the same program gives the same bytes."""
        layer = _tar({self.name: self.program.read_bytes()})
        config = json.dumps(self._config(layer), sort_keys=True).encode()
        digest = hashlib.sha256(config).hexdigest()
        manifest = [{"Config": f"{digest}.json", "RepoTags": [self.tag], "Layers": ["layer.tar"]}]
        files = {
            "layer.tar": layer,
            f"{digest}.json": config,
            "manifest.json": json.dumps(manifest).encode(),
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_tar(files))
        return target

    def _config(self, layer: bytes) -> dict[str, object]:
        return {
            "architecture": "amd64",
            "os": "linux",
            "created": "2025-01-01T00:00:00Z",
            "config": {
                "User": self.user,
                "Entrypoint": [f"/{self.name}"],
                "Env": ["PATH=/"],
            },
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
