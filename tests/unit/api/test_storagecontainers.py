import pytest

from shoal.api import storagecontainers
from shoal.errors import StalledError
from support import builders
from support.builders import Body

LINK = "https://host.example.com/models/iris.zip"


def test_a_container_is_read() -> None:
    body = builders.storage_container("demo://", supportsMultiModelDownload=True)
    found = storagecontainers.parse(body)
    assert (found.title, found.disabled) == ("ClusterStorageContainer fetcher", False)
    assert found.spec.container == body["spec"]["container"]
    assert (found.spec.workload_type, found.is_ours) == ("initContainer", False)
    assert found.spec.supports_multi_model_download
    assert storagecontainers.parse(builders.storage_container(disabled=True)).disabled
    assert storagecontainers.parse(builders.storage_container(image="")).is_ours


@pytest.mark.parametrize(
    ("row", "uri", "expected"),
    [
        pytest.param({"prefix": "demo://"}, "demo://a", True, id="prefix"),
        pytest.param({"prefix": "demo://"}, "xdemo://a", False, id="a-prefix-is-at-the-start"),
        pytest.param({"regex": "https?://(.+)/(.+)"}, LINK, True, id="regex"),
        pytest.param({"regex": "host"}, LINK, True, id="a-regex-is-searched-for"),
        pytest.param({"regex": "^host"}, LINK, False, id="unless-it-has-an-anchor"),
        pytest.param({"regex": "ftp://(.+)"}, LINK, False, id="another-regex"),
        pytest.param({"prefix": "", "regex": "host"}, LINK, True, id="an-empty-prefix-is-none"),
        pytest.param({"prefix": "s3://", "regex": "host"}, LINK, False, id="a-prefix-comes-first"),
        pytest.param({}, LINK, False, id="nothing"),
        pytest.param({"regex": "a("}, "a(", False, id="what-does-not-compile-matches-nothing"),
        pytest.param({"regex": "a+$"}, "a" * 2048, True, id="long"),
        pytest.param({"regex": "a+$"}, "a" * 2049, False, id="too-long-to-search-in"),
    ],
)
def test_addresses_are_supported(row: Body, uri: str, *, expected: bool) -> None:
    body = builders.storage_container("other://", formats=[row])
    assert storagecontainers.parse(body).supports(uri) is expected


def test_a_regex_that_does_not_compile_is_named_and_spoils_no_other() -> None:
    rows = [{"regex": "a("}, {"prefix": "demo://"}]
    found = storagecontainers.parse(builders.storage_container(formats=rows))
    assert found.supports("demo://a")
    (problem,) = found.problems
    assert problem.startswith(
        "ClusterStorageContainer fetcher: spec.supportedUriFormats[0].regex:"
        " 'a(' is no regular expression: "
    )


def test_what_cannot_be_read_is_told_by_its_path() -> None:
    body = builders.storage_container(workloadType="daemon")
    path = r"^ClusterStorageContainer fetcher\.spec\.workloadType: "
    with pytest.raises(StalledError, match=path):
        storagecontainers.parse(body)
