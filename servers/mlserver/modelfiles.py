"""Which file of a folder is the model, and in which format it is.

By the file's name, then its ending; only `.bst` needs a look inside, because XGBoost and
LightGBM both use it. A file named `model` wins over others. The MLServer image and the KServe
SDK image each have this file, because an image is built from its own folder.
"""

from dataclasses import dataclass
from pathlib import Path

SKLEARN, XGBOOST, LIGHTGBM = "sklearn", "xgboost", "lightgbm"
_ENDINGS = {
    ".joblib": SKLEARN,
    ".pkl": SKLEARN,
    ".pickle": SKLEARN,
    ".ubj": XGBOOST,
    ".bst": XGBOOST,
}
# Endings that other files have too count only as `model.json` and `model.txt`.
_WELL_KNOWN = _ENDINGS | {".json": XGBOOST, ".txt": LIGHTGBM}
_LIGHTGBM_HEAD = b"tree"
_LISTED = 5


class NoModelFileError(Exception):
    """What is there instead, for a person."""


@dataclass(frozen=True)
class ModelFile:
    """A file and its format."""

    path: Path
    format: str


def find(folder: Path) -> ModelFile:
    """Find the model.

    Raises:
        NoModelFileError: there is none, or there are several.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise NoModelFileError(f"{folder}: {error.strerror}") from error
    well_known = [path for path in files if path.stem == "model" and path.suffix in _WELL_KNOWN]
    found = well_known or [path for path in files if path.suffix in _ENDINGS]
    if len(found) == 1:
        return ModelFile(found[0], _format(found[0]))
    if found:
        raise NoModelFileError(
            f"{folder}: several files may be the model: {_listed(found)}; leave one of them"
        )
    endings = " ".join(_ENDINGS)
    raise NoModelFileError(
        f"{folder}: no model among its files ({_listed(files) or 'none'}); give it"
        f" model.json (XGBoost), model.txt (LightGBM) or a file that ends in {endings}"
    )


def _format(path: Path) -> str:
    if path.suffix == ".bst":
        with path.open("rb") as source:
            if source.read(len(_LIGHTGBM_HEAD)) == _LIGHTGBM_HEAD:
                return LIGHTGBM
    return _WELL_KNOWN[path.suffix]


def _listed(files: list[Path]) -> str:
    names = [path.name for path in files]
    more = [f"and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return ", ".join(names[:_LISTED] + more)
