"""A model file as the KServe SDK's server serves it. Caller: server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from kserve import InferRequest, InferResponse, Model
from kserve.errors import InvalidInput
from kserve.utils.utils import get_predict_input, get_predict_response

import modelfiles

Predictor = Callable[[Any], Any]


class ModelFileError(Exception):
    """What the library said of a model file, in one sentence."""


class FileModel(Model):
    """One model file; made only once it is loaded, so it is always ready."""

    def __init__(self, name: str, predictor: Predictor) -> None:
        super().__init__(name)
        self._predictor = predictor
        self.ready = True

    def predict(
        self, payload: dict[str, Any] | InferRequest, headers: dict[str, str] | None = None
    ) -> dict[str, Any] | InferResponse:
        """Answer V1's `instances` and V2's `inputs`."""
        del headers
        try:
            answer = np.asarray(self._predictor(get_predict_input(payload)))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise InvalidInput(f"{type(error).__name__}: {error}") from error
        return get_predict_response(payload, answer, self.name)


def load(name: str, folder: Path) -> FileModel:
    """Load what is in a model's folder.

    Raises:
        NoModelFileError: it cannot be told which file is the model.
        ModelFileError: the library cannot load it.
    """
    found = modelfiles.find(folder)
    try:
        predictor = _LOADERS[found.format](str(found.path))
    except Exception as error:  # a model file is a program: anything can come
        said = " ".join(str(error).partition("Stack trace")[0].split())  # XGBoost adds one
        raise ModelFileError(f"{found.path}: {type(error).__name__}: {said}") from error
    return FileModel(name, predictor)


def _sklearn(path: str) -> Predictor:
    predictor: Predictor = joblib.load(path).predict
    return predictor


def _xgboost(path: str) -> Predictor:
    import xgboost  # noqa: PLC0415 - costs memory and a second; only where it is served

    booster = xgboost.Booster(model_file=path)
    return lambda rows: booster.predict(xgboost.DMatrix(np.asarray(rows)))


def _lightgbm(path: str) -> Predictor:
    import lightgbm  # noqa: PLC0415 - as above

    predictor: Predictor = lightgbm.Booster(model_file=path).predict
    return predictor


_LOADERS: dict[str, Callable[[str], Predictor]] = {
    modelfiles.SKLEARN: _sklearn,
    modelfiles.XGBOOST: _xgboost,
    modelfiles.LIGHTGBM: _lightgbm,
}
