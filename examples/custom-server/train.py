"""Train two small models that answer the walk-through's request, and save them for server.py.

    python train.py OUT    writes OUT/model1-custom/model.joblib and OUT/model2-custom/model.joblib

Both take one number. They are different on purpose, so that an answer shows which of them gave it:
the first is a line, 2x + 1, the second a decision tree that says which of three ranges x is in.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

X = np.linspace(-10, 10, 81).reshape(-1, 1)


def line() -> LinearRegression:
    """Learn y = 2x + 1: 1.0 gives 3.0."""
    return LinearRegression().fit(X, 2 * X[:, 0] + 1)


def ranges() -> DecisionTreeClassifier:
    """Learn 0 below -3, 1 between, 2 above 3: 1.0 gives 1."""
    return DecisionTreeClassifier(random_state=0).fit(X, np.digitize(X[:, 0], [-3, 3]))


def save(folder: Path) -> list[Path]:
    """Write both models, each into a folder named as its TrainedModel; return the files."""
    files = []
    for name, model in (("model1-custom", line()), ("model2-custom", ranges())):
        file = folder / name / "model.joblib"
        file.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(model, file)
        files.append(file)
    return files


if __name__ == "__main__":
    for written in save(Path(sys.argv[1])):
        print(f"{written} ({written.stat().st_size} bytes)")  # noqa: T201 - a command's answer
