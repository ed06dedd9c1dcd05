import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.storage import uris
from shoal.storage.uris import UriError


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        pytest.param("s3://b/a/b", "b", "a/b", id="key"),
        pytest.param("s3://b/a/b/", "b", "a/b/", id="folder"),
        pytest.param("gs://b", "b", "", id="whole bucket"),
        pytest.param("s3://b/a b%20c", "b", "a b%20c", id="taken as it is"),
        pytest.param("https://h:1/a/b.zip?sig=1", "h", "/a/b.zip", id="link"),
    ],
)
def test_an_address_is_read(uri: str, bucket: str, key: str) -> None:
    location = uris.parse(uri)
    assert (location.bucket, location.key) == (bucket, key)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        pytest.param("model", "starts with none of s3://", id="no scheme"),
        pytest.param("pvc://c/p", "starts with none of s3://", id="another scheme"),
        pytest.param("s3:///key", "names no bucket", id="no bucket"),
        pytest.param("s3://b/a//b", "segment ''", id="empty segment"),
        pytest.param("s3://b/../b", "segment '..'", id="up"),
        pytest.param("s3://b/./b", "segment '.'", id="dot"),
        pytest.param("http:///x", "names no host", id="no host"),
        pytest.param("http://[x/y", "Invalid", id="bad host"),
    ],
)
def test_a_bad_address_says_why(uri: str, message: str) -> None:
    with pytest.raises(UriError, match=message):
        uris.parse(uri)


@pytest.mark.parametrize(
    ("prefix", "key", "path"),
    [
        pytest.param("model", "model/1/a", "1/a", id="below"),
        pytest.param("model/", "model/a", "a", id="slash"),
        pytest.param("", "a/b", "a/b", id="whole bucket"),
        pytest.param("model", "model2/a", None, id="neighbour: refused"),
        pytest.param("model", "model/../a", None, id="up: refused"),
        pytest.param("model", "model//a", None, id="empty: refused"),
        pytest.param("model", "model/a\\b", None, id="backslash: refused"),
        pytest.param("model", "model/", None, id="marker: refused"),
    ],
)
def test_the_path_of_a_key(prefix: str, key: str, path: str | None) -> None:
    if path is None:
        with pytest.raises(UriError):
            uris.relative(prefix, key)
    else:
        assert uris.relative(prefix, key) == path


@given(st.text(), st.text())
def test_no_key_leaves_its_folder(prefix: str, key: str) -> None:
    try:
        path = uris.relative(prefix, key)
    except UriError:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")


@pytest.mark.parametrize(
    ("url", "disposition", "name"),
    [
        pytest.param("http://h/a/m.pkl?x=/y", "", "m.pkl", id="last segment"),
        pytest.param("http://h/a/", "", "model", id="none"),
        pytest.param("http://h/x", 'attachment; filename="m.zip"', "m.zip", id="quoted"),
        pytest.param("http://h/x", "attachment; filename=m.zip", "m.zip", id="bare"),
        pytest.param("http://h/x", "attachment; filename*=UTF-8''m%20n", "m n", id="encoded"),
        pytest.param("http://h/x", 'attachment; filename="../../e"', "e", id="no path"),
        pytest.param("http://h/x", 'attachment; filename=".."', "x", id="dots"),
        pytest.param("http://h/a%2fb", "", "b", id="encoded slash"),
    ],
)
def test_the_name_of_a_file(url: str, disposition: str, name: str) -> None:
    assert uris.file_name(url, disposition) == name


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        pytest.param("https://u:p@h:1/a?sig=x#f", "https://h:1/a", id="all left out"),
        pytest.param("s3://b/a", "s3://b/a", id="as it is"),
        pytest.param("http://[x?sig=1", "http://[x", id="broken"),
        pytest.param("text?sig=1", "text", id="no address"),
    ],
)
def test_what_messages_show(uri: str, shown: str) -> None:
    assert uris.redact(uri) == shown


def test_a_file_that_is_a_folder_too_is_found() -> None:
    assert uris.conflicts(["a/b", "a", "c"]) == "a"
    assert uris.conflicts(["a/b", "a/c"]) == ""
