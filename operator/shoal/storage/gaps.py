"""What a Secret lacks that a model names for its own address. Pure. Caller: fetches.

A Secret that was named is meant to be used: without this, one with a misspelt key would be
passed over, and the model asked for with no credentials or with somebody else's.
"""

from shoal.storage import credentials
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.uris import Location, Scheme

_S3_KEYS = (
    ("AWS_ACCESS_KEY_ID", "awsAccessKeyID"),
    ("AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey"),
)


def find(secret: Holder, location: Location) -> str:
    """Say in one sentence what the Secret lacks for this address; "" is nothing."""
    alone = Credentials(secrets=(secret,))
    lacks = ""
    if location.scheme is Scheme.S3:
        lacks = _s3(secret, alone)
    elif location.scheme is Scheme.GS and credentials.gcs(alone).origin != secret.name:
        lacks = "gcloud-application-credentials.json"
    elif location.scheme is Scheme.AZ and credentials.azure(alone).origin != secret.name:
        lacks = "AZURE_STORAGE_ACCESS_KEY"
    elif location.scheme is Scheme.HF and credentials.huggingface(alone).origin != secret.name:
        lacks = "HF_TOKEN"
    elif location.is_repository and credentials.git(location.bucket, alone).password:
        lacks = ""
    elif location.scheme in {Scheme.HTTP, Scheme.HTTPS}:
        origin, _ = credentials.headers(location.bucket, alone)
        own = (
            f"GIT_PASSWORD for {location.bucket}"
            if location.is_repository
            else f"https-host: {location.bucket} with its headers"
        )
        lacks = "" if origin == secret.name else own
    return f"{secret.name} has no {lacks}, which {location.shown} needs" if lacks else ""


def _s3(secret: Holder, alone: Credentials) -> str:
    missing = [names[0] for names in _S3_KEYS if not any(secret.data.get(each) for each in names)]
    is_partial = len(missing) == 1
    # Annotations alone are enough for a public bucket behind an endpoint of its own.
    if is_partial or credentials.s3(alone).origin != secret.name:
        return " and no ".join(missing)
    return ""
