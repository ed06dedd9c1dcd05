"""Secrets and ServiceAccounts as users of KServe write them (contract §4.5), made options. Pure.

Each value is looked for in the Secret's annotation, then in its data, then in the environment;
the first Secret that has something for a protocol is the one used for it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

_PREFIX = "serving.kserve.io/"
_GCS_KEY = "gcloud-application-credentials.json"
_ACCESS_KEYS = ("AWS_ACCESS_KEY_ID", "awsAccessKeyID")
_SECRET_KEYS = ("AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey")
_YES = {"1", "true", "yes"}
_NO = {"0", "false", "no"}

# Annotation (without its prefix) → names of the data key and of the environment variable.
_S3_VALUES: Mapping[str, tuple[str, ...]] = {
    "s3-endpoint": ("AWS_ENDPOINT_URL", "S3_ENDPOINT"),
    "s3-usehttps": ("S3_USE_HTTPS",),
    "s3-region": ("AWS_DEFAULT_REGION", "AWS_REGION"),
    "s3-verifyssl": ("S3_VERIFY_SSL",),
    "s3-usevirtualbucket": ("S3_USER_VIRTUAL_BUCKET",),
    "s3-useaccelerate": ("S3_USE_ACCELERATE",),
    "s3-useanoncredential": ("awsAnonymousCredential",),
    "s3-cabundle": ("AWS_CA_BUNDLE",),
}


@dataclass(frozen=True, slots=True)
class Holder:
    """A Secret or a ServiceAccount: its name as messages show it, data and annotations."""

    name: str
    data: Mapping[str, str] = field(repr=False)
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everything there is to log in with, and what of it could not be read."""

    secrets: Sequence[Holder] = ()
    account: Holder | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    missing: Sequence[str] = ()  # sentences: which Secret is not there or may not be read


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach an S3 bucket."""

    origin: str
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    anonymous: bool = False
    ambient: bool = False  # a role of the pod: the client library finds it by itself
    verify: bool = True
    virtual_host: bool = False
    ca_bundle: str = ""


@dataclass(frozen=True, slots=True)
class GcsOptions:
    """How to reach a Google Cloud Storage bucket."""

    origin: str
    key: str = field(default="", repr=False)
    key_file: str = ""
    ambient: bool = False
    endpoint: str = ""


def s3(credentials: Credentials) -> S3Options:
    """Choose what an S3 bucket is reached with."""
    environ = credentials.environ
    holder = next((each for each in credentials.secrets if _is_s3(each)), None)
    if holder is not None:
        return _s3_options(holder.name, holder, holder.data, environ)
    account = credentials.account
    if account and "eks.amazonaws.com/role-arn" in account.annotations:
        options = _s3_options(account.name, account, {}, environ)
        return replace(options, ambient=True, anonymous=False)
    ambient = any(
        environ.get(name)
        for name in ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    )
    values = account or Holder("", {}, {})
    if _first(environ, _ACCESS_KEYS) or ambient:
        options = _s3_options("environment", values, environ, environ)
        return replace(options, ambient=ambient and not options.access_key, anonymous=False)
    return _s3_options("no credentials", values, {}, environ)


def gcs(credentials: Credentials) -> GcsOptions:
    """Choose what a Google Cloud Storage bucket is reached with."""
    environ = credentials.environ
    endpoint = environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
    if endpoint and "://" not in endpoint:
        endpoint = f"http://{endpoint}"
    for secret in credentials.secrets:
        if key := secret.data.get(_GCS_KEY, ""):
            return GcsOptions(secret.name, key=key, endpoint=endpoint)
    if path := environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""):
        return GcsOptions("environment", key_file=path, endpoint=endpoint)
    account = credentials.account
    if account and "iam.gke.io/gcp-service-account" in account.annotations:
        return GcsOptions(account.name, ambient=True, endpoint=endpoint)
    return GcsOptions("no credentials", endpoint=endpoint)


def headers(host: str, credentials: Credentials) -> tuple[str, str]:
    """Choose the headers for an http(s) host: whose they are, and their JSON object or lines."""
    for secret in credentials.secrets:
        if secret.data.get("https-host", "") == host:
            return secret.name, secret.data.get("headers", "")
    return "no credentials", credentials.environ.get(f"{host}-headers", "")


def parse_headers(text: str) -> dict[str, str]:
    """Read headers written as a JSON object of strings, or as lines `Name: value`.

    Raises:
        ValueError: they are neither.
    """
    if text.lstrip().startswith("{"):
        return {str(name): str(value) for name, value in json.loads(text).items()}
    pairs = [line.partition(":") for line in text.splitlines() if line.strip()]
    if not all(separator for _, separator, _ in pairs):
        raise ValueError("headers must be a JSON object or lines of `Name: value`")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _is_s3(holder: Holder) -> bool:
    if _first(holder.data, _SECRET_KEYS):
        return True
    # A public bucket behind an own endpoint needs a Secret for its annotations alone.
    return any(_PREFIX + name in holder.annotations for name in _S3_VALUES)


def _s3_options(
    origin: str, holder: Holder, data: Mapping[str, str], environ: Mapping[str, str]
) -> S3Options:
    values = {name: _value(name, holder.annotations, data, environ) for name in _S3_VALUES}
    access_key = _first(data, _ACCESS_KEYS)
    secret_key = _first(data, _SECRET_KEYS)
    endpoint = _endpoint(values["s3-endpoint"], values["s3-usehttps"])
    if values["s3-useaccelerate"].lower() in _YES and not endpoint:
        endpoint = "https://s3-accelerate.amazonaws.com"
    return S3Options(
        origin=origin,
        endpoint=endpoint,
        region=values["s3-region"] or "us-east-1",
        access_key=access_key,
        secret_key=secret_key,
        session_token=data.get("AWS_SESSION_TOKEN", ""),
        anonymous=values["s3-useanoncredential"].lower() in _YES or not access_key,
        verify=values["s3-verifyssl"].lower() not in _NO,
        virtual_host=values["s3-usevirtualbucket"].lower() in _YES
        or values["s3-useaccelerate"].lower() in _YES,
        ca_bundle=values["s3-cabundle"],
    )


def _value(
    name: str,
    annotations: Mapping[str, str],
    data: Mapping[str, str],
    environ: Mapping[str, str],
) -> str:
    if value := annotations.get(_PREFIX + name, ""):
        return value.strip()
    return (_first(data, _S3_VALUES[name]) or _first(environ, _S3_VALUES[name])).strip()


def _endpoint(text: str, use_https: str) -> str:
    if not text:
        return ""
    if "://" in text:
        return text.rstrip("/")
    scheme = "http" if use_https.lower() in _NO else "https"
    return f"{scheme}://{text.rstrip('/')}"


def _first(values: Mapping[str, str], keys: Sequence[str]) -> str:
    return next((values[key].strip() for key in keys if values.get(key)), "")


def shown_endpoint(options: S3Options) -> str:
    """Show where an S3 request went, without anything secret."""
    if not options.endpoint:
        return "https://s3.amazonaws.com"
    parts = urlsplit(options.endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
