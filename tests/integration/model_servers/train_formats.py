"""Run by the Python of a model server: a model in each format that it loads, answering 2x + 1.

python train_formats.py OUT    prints the answers of each to 10.0 as JSON
"""

import json
import pickle
import sys
from pathlib import Path

import joblib
import lightgbm
import numpy as np
import xgboost
from sklearn.linear_model import LinearRegression

X = np.linspace(0, 20, 41).reshape(-1, 1)
Y = 2 * X[:, 0] + 1


def main(out: Path) -> None:
    """Train and save."""

    def file(folder: str, name: str) -> Path:
        (out / folder).mkdir(parents=True, exist_ok=True)
        return out / folder / name

    answers = {}
    line = LinearRegression().fit(X, Y)
    joblib.dump(line, file("sklearn-joblib", "model.joblib"))
    file("sklearn-pickle", "my-model.pkl").write_bytes(pickle.dumps(line))
    for name in ("sklearn-joblib", "sklearn-pickle"):
        answers[name] = float(line.predict([[10.0]])[0])
    trees = xgboost.train({"max_depth": 3}, xgboost.DMatrix(X, Y), 9)
    for ending in ("ubj", "json", "bst"):
        trees.save_model(file(f"xgboost-{ending}", f"model.{ending}"))
        answers[f"xgboost-{ending}"] = float(trees.predict(xgboost.DMatrix([[10.0]]))[0])
    options = {"min_data_in_leaf": 2, "verbose": -1}
    leaves = lightgbm.train(options, lightgbm.Dataset(X, Y), 9)
    for ending in ("txt", "bst"):
        leaves.save_model(file(f"lightgbm-{ending}", f"model.{ending}"))
        answers[f"lightgbm-{ending}"] = float(leaves.predict([[10.0]])[0])
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
