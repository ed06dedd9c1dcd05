"""Make a small model for TorchServe, as a folder of the bucket, and a request for it.

python train.py OUT    writes OUT/dir/gs/config, OUT/dir/gs/model-store and OUT/input.json
"""

import json
import shutil
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
NAME = "line"
WEIGHTS = {"weight": [[2.0]], "bias": [1.0]}
MANIFEST = {
    "runtime": "python",
    "archiverVersion": "0.12.0",
    "model": {"modelName": NAME, "modelVersion": "1.0", "handler": "handler.py"},
}


def archive(target: Path) -> None:
    """Write the model's archive, as torch-model-archiver does."""
    with zipfile.ZipFile(target, "w") as out:
        out.write(HERE / "handler.py", "handler.py")
        out.writestr("weights.json", json.dumps(WEIGHTS))
        out.writestr("MAR-INF/MANIFEST.json", json.dumps(MANIFEST))


def save(out: Path) -> Path:
    """Write the folder and the request; return the folder."""
    folder = out / "dir" / "gs"
    for name in ("config", "model-store"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "config.properties", folder / "config")
    archive(folder / "model-store" / f"{NAME}.mar")
    (out / "input.json").write_text(json.dumps({"instances": [[1.0], [2.0]]}) + "\n")
    return folder


if __name__ == "__main__":
    print(save(Path(sys.argv[1])))  # noqa: T201 - a command's answer
