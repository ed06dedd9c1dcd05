"""Make two small models for Triton, as folders of the bucket, and a request that both answer.

    python train.py OUT    writes OUT/models/mnist, OUT/models/fashion and OUT/input.json

`mnist` tells handwritten digits, which scikit-learn brings along. `fashion` is a stand-in with the
same input: it tells ten made-up patterns.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
CLASSES = 10


def digits() -> np.ndarray:
    """Average the pictures of each digit."""
    pictures, labels = load_digits(return_X_y=True)
    return np.stack([pictures[labels == digit].mean(axis=0) for digit in range(CLASSES)])


def patterns() -> np.ndarray:
    """Make up ten pictures."""
    return np.random.default_rng(0).uniform(0, 16, (CLASSES, 64))


def save(out: Path) -> list[Path]:
    """Write both models and the request; return the folders of the models."""
    folders = []
    for name, means in (("mnist", digits()), ("fashion", patterns())):
        folder = out / "models" / name
        (folder / "1").mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "config.pbtxt", folder)
        shutil.copy(HERE / "model.py", folder / "1")
        np.save(folder / "1" / "means.npy", means.astype(np.float32))
        folders.append(folder)
    seven = load_digits().data[7]
    tensor = {"name": "image", "shape": [1, 64], "datatype": "FP32", "data": seven.tolist()}
    (out / "input.json").write_text(json.dumps({"inputs": [tensor]}) + "\n")
    return folders


if __name__ == "__main__":
    for written in save(Path(sys.argv[1])):
        print(written)  # noqa: T201 - a command's answer
