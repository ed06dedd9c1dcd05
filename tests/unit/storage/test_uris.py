import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.storage import uris
from shoal.storage.uris import UriError

BLOB = "https://a.blob.core.windows.net"
FILES = "https://a.file.core.windows.net"


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        pytest.param("s3://b/a/b", "b", "a/b", id="key"),
        pytest.param("s3://b/a/b/", "b", "a/b/", id="folder"),
        pytest.param("gs://b", "b", "", id="whole bucket"),
        pytest.param("s3://b/a b%20c", "b", "a b%20c", id="taken as it is"),
        pytest.param("https://h:1/a/b.zip?sig=1", "h", "/a/b.zip", id="link"),
        pytest.param("pvc://c", "c", "", id="whole claim"),
        pytest.param("hf://org/model:v1", "org", "model", id="model of a hub"),
        pytest.param("az://c/a/", "c", "a/", id="Azure container"),
        pytest.param(f"{BLOB}/c/a%20b/?sig=1", "c", "a b/", id="Azure link: decoded"),
        pytest.param(f"{BLOB}/c", "c", "", id="Azure link to a container"),
        pytest.param(f"{BLOB}/", "a.blob.core.windows.net", "/", id="no container: a link"),
        pytest.param(f"{FILES}/s/a%20b/?sig=1", "s", "a b/", id="file share"),
        pytest.param(f"{FILES}/s", "s", "", id="whole share"),
    ],
)
def test_an_address_is_read(uri: str, bucket: str, key: str) -> None:
    location = uris.parse(uri)
    assert (location.bucket, location.key) == (bucket, key)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        pytest.param("model", "starts with none of s3://", id="no scheme"),
        pytest.param("ftp://c/p", "starts with none of s3://", id="another scheme"),
        pytest.param("pvc:///p", "names no claim", id="no claim"),
        pytest.param("hf://model", "is not of the form", id="no organisation"),
        pytest.param("hf://org/model/file", "is not of the form", id="more than a model"),
        pytest.param("hf://org/model:", "is not of the form", id="no revision"),
        pytest.param("hf://org/..", "'..' cannot be the name", id="up on a hub"),
        pytest.param("pvc://c/../d", "segment '..'", id="out of a claim"),
        pytest.param("s3:///key", "names no bucket", id="no bucket"),
        pytest.param("az:///key", "names no container", id="no container"),
        pytest.param(
            f"{BLOB}/c/a/../b?sig=s", "net/c/a/../b' has", id="Azure: no signature shown"
        ),
        pytest.param(f"{FILES}/?sig=s", "net/' names no share", id="no share"),
        pytest.param("s3://b/a//b", "segment ''", id="empty segment"),
        pytest.param("s3://b/../b", "segment '..'", id="up"),
        pytest.param("s3://b/./b", "segment '.'", id="dot"),
        pytest.param("http:///x", "names no host", id="no host"),
        pytest.param("http://[x/y", "Invalid", id="bad host"),
        pytest.param(
            "https://u:p@h/m.git?ref=a", r"^'https://h/m.git' is a git .*no query", id="git: query"
        ),
        pytest.param("https://h/m.git#", "'' cannot be the name of a branch", id="git: nothing"),
        pytest.param("https://h/m.git#a:b", "'a:b' cannot be the name", id="git: a folder of it"),
        pytest.param("https://h/m.git#a..b", "cannot be the name of a br", id="git: a span"),
        pytest.param("https://h/m.git#a%0Ab", "cannot be the name of a br", id="git: two lines"),
        pytest.param("https://h/m.git#-x", "cannot be the name of a branch", id="git: option"),
    ],
)
def test_a_bad_address_says_why(uri: str, message: str) -> None:
    with pytest.raises(UriError, match=message):
        uris.parse(uri)


@pytest.mark.parametrize(
    ("uri", "revision", "shown"),
    [
        pytest.param("https://h/a/m.git", "", "https://h/a/m.git", id="default"),
        pytest.param("http://h:1/m.git/", "", "http://h:1/m.git/", id="slash"),
        pytest.param(
            "https://u:p@h/m.git#fix/a%25b", "fix/a%b", "https://h/m.git#fix/a%b", id="revision"
        ),
        pytest.param("https://h/m.git/a", None, "https://h/m.git/a", id="below: a file"),
        pytest.param(
            "https://x.github.io/m.zip?s=1#a", None, "https://x.github.io/m.zip", id="a host"
        ),
        pytest.param("s3://b/m.git", None, "s3://b/m.git", id="a folder of a bucket"),
    ],
)
def test_a_repository_is_told_by_its_end(uri: str, revision: str | None, shown: str) -> None:
    location = uris.parse(uri)
    found = location.revision if location.is_repository else None
    assert (found, location.shown) == (revision, shown)


@pytest.mark.parametrize(
    ("prefix", "key", "path"),
    [
        pytest.param("model", "model/1/a", "1/a", id="below"),
        pytest.param("model/", "model/a", "a", id="slash"),
        pytest.param("", "a/b", "a/b", id="whole bucket"),
        pytest.param("model", "model2/a", None, id="neighbour: refused"),
        pytest.param("model", "model/../a", None, id="up: refused"),
        pytest.param("model", "model//a/./b", "a/b", id="empty and dot: nothing"),
        pytest.param("model", "model//.", None, id="nothing but these: refused"),
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


def test_a_model_of_a_hub_has_a_revision() -> None:
    assert uris.parse("hf://org/model:refs/pr/1").revision == "refs/pr/1"
    assert uris.parse("hf://org/model").revision == ""


def test_a_link_names_the_account() -> None:
    assert uris.parse(f"{BLOB}/c/m?sig=1").account == "a"
    assert uris.parse("az://c/m").account == ""
