"""Train a small model of irises.

python train.py OUT    writes OUT/sklearn/iris/model.joblib
"""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.svm import SVC


def save(out: Path) -> Path:
    """Write the model; return its file."""
    flowers, kinds = load_iris(return_X_y=True)
    target = out / "sklearn" / "iris" / "model.joblib"
    target.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(SVC().fit(flowers, kinds), target)
    return target


if __name__ == "__main__":
    print(save(Path(sys.argv[1])))  # noqa: T201 - a command's answer
