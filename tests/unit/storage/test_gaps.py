import pytest

from shoal.storage import gaps, uris
from shoal.storage.credentials import Holder

NAME = "Secret ns/own"
ENDPOINT = {"serving.kserve.io/s3-endpoint": "minio"}
ID, KEY = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"


@pytest.mark.parametrize(
    ("uri", "data", "annotations", "lack"),
    [
        pytest.param("s3://b/m", {ID: "i", KEY: "k"}, {}, "", id="s3-whole"),
        pytest.param("s3://b/m", {"awsAccessKeyID": "i", KEY: "k"}, {}, "", id="s3-old-names"),
        pytest.param("s3://b/m", {}, ENDPOINT, "", id="s3-public-behind-an-endpoint"),
        pytest.param("s3://b/m", {"typo": "k"}, {}, f"{ID} and no {KEY}", id="s3-nothing"),
        pytest.param("s3://b/m", {ID: "i"}, ENDPOINT, KEY, id="s3-no-secret-key"),
        pytest.param("s3://b/m", {KEY: "k"}, {}, ID, id="s3-no-access-key"),
        pytest.param(
            "gs://b/m", {"gcloud-application-credentials.json": "{}"}, {}, "", id="gs-whole"
        ),
        pytest.param("gs://b/m", {}, {}, "gcloud-application-credentials.json", id="gs-nothing"),
        pytest.param("az://c/m", {"AZURE_STORAGE_SAS_TOKEN": "t"}, {}, "", id="az-token"),
        pytest.param("az://c/m", {}, {}, "AZURE_STORAGE_ACCESS_KEY", id="az-nothing"),
        pytest.param("hf://o/m", {"HF_TOKEN": "t"}, {}, "", id="hf-token"),
        pytest.param("hf://o/m", {}, {}, "HF_TOKEN", id="hf-nothing"),
        pytest.param("https://h/m", {"https-host": "h", "headers": "a: b"}, {}, "", id="web"),
        pytest.param("https://h/m.git", {"GIT_PASSWORD": "t"}, {}, "", id="git"),
        pytest.param(
            "https://h/m.git", {"https-host": "h", "headers": "a: b"}, {}, "", id="git-web"
        ),
        pytest.param(
            "https://h/m.git",
            {"https-host": "i", "GIT_PASSWORD": "t"},
            {},
            "GIT_PASSWORD for h",
            id="git-other",
        ),
        pytest.param(
            "https://h/m",
            {"https-host": "i"},
            {},
            "https-host: h with its headers",
            id="web-other",
        ),
    ],
)
def test_what_a_named_secret_lacks(
    uri: str, data: dict[str, str], annotations: dict[str, str], lack: str
) -> None:
    found = gaps.find(Holder(NAME, data, annotations), uris.parse(uri))
    assert found == (f"{NAME} has no {lack}, which {uri} needs" if lack else "")
