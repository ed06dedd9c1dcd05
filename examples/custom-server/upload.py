"""Put every file of a folder into an S3 bucket; the bucket is made where it does not exist.

AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… python upload.py http://HOST:PORT BUCKET FOLDER
"""

import os
import sys
import urllib.error
import urllib.request
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import obstore
from obstore.store import S3Store


def bucket(endpoint: str, name: str) -> S3Store:
    """Open a bucket; the first to ask for it makes it."""
    store = S3Store(
        name,
        endpoint=endpoint,
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ.get("AWS_REGION", "us-east-1"),
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    signed = obstore.sign(store, "PUT", "", timedelta(minutes=1))
    try:
        urllib.request.urlopen(urllib.request.Request(signed, method="PUT")).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.CONFLICT:  # it is there already
            raise
    return store


def upload(store: S3Store, folder: Path) -> list[str]:
    """Put each file under its path within the folder; return these paths."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    keys = [path.relative_to(folder).as_posix() for path in paths]
    for key, path in zip(keys, paths, strict=True):
        obstore.put(store, key, path)
    return keys


if __name__ == "__main__":
    url, wanted, source = sys.argv[1:]
    for put in upload(bucket(url, wanted), Path(source)):
        print(f"s3://{wanted}/{put}")  # noqa: T201 - a command's answer
