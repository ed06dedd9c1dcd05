"""MLServer's model repository for folders that an agent fills while the server runs.

Set `MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION=shoal_mlserver.AgentLayoutRepository`. A folder
with a model file needs no settings file, and finding a model costs the same however many there
are: the stock repository reads every settings file at every load. Where MLSERVER_MODEL_NAME
names a model, the whole folder is that one, and the server ends if it cannot be loaded.
"""

import asyncio
import importlib
import logging
import os
from pathlib import Path

from mlserver.errors import MLServerError, ModelNotFound
from mlserver.repository import DEFAULT_MODEL_SETTINGS_FILENAME, ModelRepository
from mlserver.repository.load import load_model_settings
from mlserver.settings import ModelParameters, ModelSettings

import modelfiles

_LOG = logging.getLogger(__name__)
_Found = list[ModelSettings]  # a method of the repository is called `list` too
_RUNTIMES = {
    modelfiles.SKLEARN: "shoal_mlserver.sklearn_models.SKLearnModel",
    modelfiles.XGBOOST: "shoal_mlserver.xgboost_models.XGBoostModel",
    modelfiles.LIGHTGBM: "shoal_mlserver.lightgbm_models.LightGBMModel",
}
# MLServer's own, by the names that settings files use: ours do the same without a pause.
_STOCK = {
    "mlserver_sklearn.SKLearnModel": _RUNTIMES[modelfiles.SKLEARN],
    "mlserver_xgboost.XGBoostModel": _RUNTIMES[modelfiles.XGBOOST],
    "mlserver_lightgbm.LightGBMModel": _RUNTIMES[modelfiles.LIGHTGBM],
}


class AgentLayoutRepository(ModelRepository):
    """Finds model `m` in the folder `m`, by its settings file or else by its model file."""

    def __init__(self, root: str, **_: object) -> None:
        self._root = Path(root)
        self._only = os.environ.get("MLSERVER_MODEL_NAME", "")

    async def list(self) -> _Found:
        """List what could be loaded; a folder without a model is left out."""
        return await asyncio.to_thread(self._all)

    async def find(self, name: str) -> _Found:
        """Find one model.

        Raises:
            MLServerError: there is none, or it cannot be told which file it is.
        """
        return [await asyncio.to_thread(self._one, name)]

    def _all(self) -> _Found:
        if self._only:
            return [self._one(self._only)]
        found = []
        for folder in sorted(self._root.iterdir()):
            try:
                found.append(self._one(folder.name))
            except MLServerError as error:
                _LOG.info("left out: %s", error)
        return found

    def _one(self, name: str) -> ModelSettings:
        folder = self._root if name == self._only else self._root / name
        if name.startswith(".") or not folder.is_dir():
            raise ModelNotFound(name)
        settings = _settings(name, folder)
        implementation = settings.implementation_
        if implementation in _RUNTIMES.values():
            # The first import of a library takes seconds; the event loop must not wait for it.
            importlib.import_module(implementation.rpartition(".")[0])
        return settings


def _settings(name: str, folder: Path) -> ModelSettings:
    own = folder / DEFAULT_MODEL_SETTINGS_FILENAME
    try:
        if own.exists():
            settings = load_model_settings(str(own))
            settings.implementation_ = _STOCK.get(
                settings.implementation_, settings.implementation_
            )
        else:
            model = modelfiles.find(folder)
            settings = ModelSettings(
                implementation=_RUNTIMES[model.format],
                parameters=ModelParameters(uri=str(model.path)),
            )
    except (modelfiles.NoModelFileError, OSError, ValueError) as error:
        raise MLServerError(_sentence(name, error)) from error
    settings.name = name  # what it is asked for by, whatever the file says
    return settings


def _sentence(name: str, error: Exception) -> str:
    if isinstance(error, modelfiles.NoModelFileError):
        return str(error)
    said = " ".join(str(error).split())
    return f"{name}/{DEFAULT_MODEL_SETTINGS_FILENAME}: {said}"
