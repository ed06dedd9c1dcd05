"""Manifests with models in images, beside those of `admission_rows`."""

from typing import Any

from integration.admission_rows import isvc, model, uris

_FOLDERS = [f"/mnt/models/{number}" for number in range(11)]


def _one(uri: str) -> dict[str, Any]:
    return isvc({"sklearn": {"storageUri": uri}})


def _many(*folders: str, scheme: str = "oci") -> dict[str, Any]:
    return isvc({"model": {}, "storageUris": uris(*folders, scheme=scheme)})


ACCEPTED = {
    "an-image": _one("oci://registry/a:1"),
    "an-image-as-a-volume": _one("oci+native://registry/a@sha256:b"),
    "ten-images": _many(*_FOLDERS[:10]),
    "eleven-claims": _many(*_FOLDERS, scheme="pvc"),
}
REFUSED = {
    "image-to-be-fetched": (
        _one("oci+fetch://registry/a:1"),
        "images are mounted, never fetched, by this version; write oci:// in place of oci+fetch",
    ),
    "one-of-many-images-to-be-fetched": (
        _many("/mnt/a", scheme="oci+fetch"),
        "images are mounted, never fetched, by this version",
    ),
    "eleven-images": (
        _many(*_FOLDERS),
        "at most 10 of the addresses may be those of images (oci://)",
    ),
    "model-in-an-image": (model(storageUri="oci://registry/a:1"), "storageUri field is invalid."),
}
