"""Storage containers that the API server must accept or refuse, each named by what happens."""

from typing import Any

CONTAINER = {"name": "storage-initializer", "image": "example/fetcher:1"}


def container(*formats: dict[str, str], **spec: object) -> dict[str, Any]:
    rows = list(formats or ({"prefix": "demo://"},))
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": {"name": "example"},
        "spec": {"container": CONTAINER, "supportedUriFormats": rows, **spec},
    }


ACCEPTED = {
    "storage-container-without-image": container(container={"name": "storage-initializer"}),
    "storage-container-regex": container({"regex": "https?://(.+)/(.+)"}),
    "storage-container-empty-prefix": container({"prefix": "", "regex": "a"}),
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "storage-container-bad-regex": (container({"regex": "a("}), "missing closing )"),
    "storage-container-prefix-and-regex": (
        container({"prefix": "a", "regex": "b"}),
        "exactly one of prefix and regex must be given",
    ),
    "storage-container-empty-format": (
        container({}),
        "exactly one of prefix and regex must be given",
    ),
    "storage-container-workload": (container(workloadType="job"), "Unsupported value"),
    "storage-container-without-container": (
        {**container(), "spec": {"supportedUriFormats": []}},
        "spec.container: Required value",
    ),
}
