from pathlib import Path

import pytest

import modelfiles


@pytest.mark.parametrize(
    ("files", "found", "kind"),
    [
        ({"model.joblib": b""}, "model.joblib", "sklearn"),
        ({"iris.pkl": b"", "README.md": b""}, "iris.pkl", "sklearn"),
        ({"model.pickle": b"", "scaler.pickle": b""}, "model.pickle", "sklearn"),
        ({"model.json": b"{}", "metadata.json": b"{}"}, "model.json", "xgboost"),
        ({"trees.ubj": b""}, "trees.ubj", "xgboost"),
        ({"model.bst": b"{L\x00"}, "model.bst", "xgboost"),
        ({"model.bst": b"tree\nversion=v4\n"}, "model.bst", "lightgbm"),
        ({"model.txt": b"tree\n", "notes.txt": b""}, "model.txt", "lightgbm"),
    ],
    ids=[
        *("joblib", "the-only-pickle", "model-wins", "json", "ubj"),
        *("bst-of-xgboost", "bst-of-lightgbm", "txt"),
    ],
)
def test_a_file_is_found_and_its_format_told(
    tmp_path: Path, files: dict[str, bytes], found: str, kind: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert modelfiles.find(tmp_path) == modelfiles.ModelFile(tmp_path / found, kind)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "no model among its files (none)"),
        (["metadata.json", "notes.txt"], "no model among its files (metadata.json, notes.txt)"),
        (["a.pkl", "b.ubj"], "several files may be the model: a.pkl, b.ubj; leave one of them"),
        (["model.pkl", "model.ubj"], "several files may be the model: model.pkl, model.ubj"),
        (list("abcdefg"), "(a, b, c, d, e, and 2 more)"),
    ],
    ids=["empty", "others-only", "two", "two-named-model", "many"],
)
def test_what_cannot_be_told_is_said(tmp_path: Path, names: list[str], words: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(modelfiles.NoModelFileError) as caught:
        modelfiles.find(tmp_path)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(modelfiles.NoModelFileError, match="nowhere: No such file or directory"):
        modelfiles.find(tmp_path / "nowhere")
