"""Put every file of a folder into a bucket of an emulator of Google Cloud Storage.

    python upload.py http://HOST:PORT BUCKET FOLDER

The bucket is made where it does not exist. For the real one: gcloud storage cp -r FOLDER/* gs://BUCKET
"""

import json
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote


def post(url: str, body: bytes) -> None:
    """Send a request."""
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers)).close()  # noqa: S310 - http


def make_bucket(endpoint: str, bucket: str) -> None:
    """Make the bucket, unless it is there."""
    try:
        post(f"{endpoint}/storage/v1/b?project=p", json.dumps({"name": bucket}).encode())
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.CONFLICT:
            raise


def upload(endpoint: str, bucket: str, folder: Path) -> list[str]:
    """Put each file under its path within the folder; return these paths."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    keys = [path.relative_to(folder).as_posix() for path in paths]
    for key, path in zip(keys, paths, strict=True):
        name = quote(key, safe="")
        url = f"{endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
        post(url, path.read_bytes())
    return keys


if __name__ == "__main__":
    server, wanted, source = sys.argv[1:]
    make_bucket(server, wanted)
    for put in upload(server, wanted, Path(source)):
        print(f"gs://{wanted}/{put}")  # noqa: T201 - a command's answer
