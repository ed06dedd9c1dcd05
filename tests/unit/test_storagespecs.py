import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import storagespecs
from shoal.storagespecs import StorageSpec

TEXTS = st.text(min_size=1)


@given(TEXTS, st.text(), st.dictionaries(TEXTS, TEXTS))
def test_what_is_written_is_read(secret: str, key: str, parameters: dict[str, str]) -> None:
    spec = StorageSpec(secret, key, parameters)
    assert storagespecs.decode(spec.encode()) == spec


@pytest.mark.parametrize("text", ["", "{", "{}", '{"a": 1}', "[]"])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the reader says
        storagespecs.decode(text)


@pytest.mark.parametrize(
    ("key", "parameters", "entry"),
    [
        pytest.param("mine", {"type": "s3"}, "mine", id="the-key"),
        pytest.param("", {}, "default", id="none"),
        pytest.param("", {"type": "gs"}, "default_gs", id="by-the-type"),
        pytest.param("", {"type": ""}, "default", id="a-type-without-value-is-none"),
    ],
)
def test_which_entry_is_meant(key: str, parameters: dict[str, str], entry: str) -> None:
    assert StorageSpec("s", key, parameters).entry == entry


@pytest.mark.parametrize("path", ["a/b", "/a/b"])
def test_a_path_is_an_address(path: str) -> None:
    assert storagespecs.address(path) == "storage://a/b"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param("s3", "", id="s3"),
        pytest.param("azure", "", id="azure"),
        pytest.param("webhdfs", "storage type [webhdfs] is not fetched", id="webhdfs"),
        pytest.param(
            "ftp",
            "storage type must be one of [s3, gs, azure, hf, https, http]. storage type [ftp] is "
            "not supported",
            id="another",
        ),
    ],
)
def test_which_types_are_fetched(kind: str, words: str) -> None:
    refusal = storagespecs.refusal(kind)
    assert refusal.startswith(words)
    assert bool(refusal) is bool(words)


@pytest.mark.parametrize(
    ("uri", "parameters", "expected"),
    [
        pytest.param("hf://o/m", {}, "hf://o/m", id="an-address"),
        pytest.param("storage://a", {"type": "s3", "bucket": "b"}, "s3://b/a", id="a-bucket"),
        pytest.param("storage://a", {"type": "hdfs"}, "hdfs://a", id="no-bucket"),
    ],
)
def test_where_a_path_is_by_the_parameters_alone(
    uri: str, parameters: dict[str, str], expected: str
) -> None:
    assert storagespecs.located(uri, parameters) == expected


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        pytest.param({}, "type: unable to determine storage type", id="no-type"),
        pytest.param({"type": "s3", "bucket": ""}, "bucket: format", id="no-bucket"),
    ],
)
def test_a_path_whose_store_is_not_told(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        storagespecs.located("storage://a", parameters)
