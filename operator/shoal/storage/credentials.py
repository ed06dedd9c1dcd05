"""Secrets and ServiceAccounts as users of KServe write them (contract §4.5), made options. Pure.

Each value is looked for in the Secret's annotation, then in its data, then in the environment;
the first Secret that has something for a protocol is the one used for it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from shoal import names

NONE = "no credentials"
ENVIRONMENT = "environment"
_PREFIX = "serving.kserve.io/"
_GIT_USERNAME, _GIT_PASSWORD = "GIT_USERNAME", "GIT_PASSWORD"
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


# Ours → keys of the Secret and names of environment variables, upstream's first.
_AZURE_VALUES: Mapping[str, tuple[str, ...]] = {
    "account": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"),
    "endpoint": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "share_endpoint": ("AZURE_STORAGE_FILE_ENDPOINT",),
    "key": ("AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"),
    "sas": ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"),
    "token": ("AZURE_ACCESS_TOKEN",),
    "client_id": ("AZURE_CLIENT_ID", "AZ_CLIENT_ID"),
    "client_secret": ("AZURE_CLIENT_SECRET", "AZ_CLIENT_SECRET"),
    "tenant": ("AZURE_TENANT_ID", "AZ_TENANT_ID"),
}
_AZURE_AMBIENT = ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_IDENTITY_ENDPOINT", "AZURE_MSI_ENDPOINT")


# What webhooks and nodes tell a pod of its role, as the client library calls it.
_S3_ROLE: Mapping[str, tuple[str, ...]] = {
    "web_identity_token_file": ("AWS_WEB_IDENTITY_TOKEN_FILE",),
    "role_arn": ("AWS_ROLE_ARN",),
    "role_session_name": ("AWS_ROLE_SESSION_NAME",),
    "aws_endpoint_url_sts": ("AWS_ENDPOINT_URL_STS",),
    "container_credentials_full_uri": ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
    "container_credentials_relative_uri": ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    "container_authorization_token_file": ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",),
    "metadata_endpoint": ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_METADATA_ENDPOINT"),
}


@dataclass(frozen=True, slots=True)
class Holder:
    """A Secret or a ServiceAccount: its name as messages show it, data and annotations.

    `authority` is the CA bundle of the ConfigMap that it names, `problem` why there is none.
    """

    name: str
    data: Mapping[str, str] = field(repr=False)
    annotations: Mapping[str, str]
    authority: str = field(default="", repr=False)
    problem: str = ""

    @property
    def bundle(self) -> str:
        """The ConfigMap with a CA bundle that it names; "" is none."""
        name = self.annotations.get(names.CA_BUNDLE_ANNOTATION, "")
        return (name or self.data.get("AWS_CA_BUNDLE_CONFIGMAP", "")).strip()


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
    ca_bundle: str = ""  # a file
    authority: str = field(default="", repr=False)  # or the text itself
    problem: str = ""  # why there is none, though one was named
    role: tuple[tuple[str, str], ...] = ()  # what the client library is told of the role


@dataclass(frozen=True, slots=True)
class GcsOptions:
    """How to reach a Google Cloud Storage bucket."""

    origin: str
    key: str = field(default="", repr=False)
    key_file: str = ""
    ambient: bool = False
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class AzureOptions:
    """How to reach an Azure container; a service principal is its last three."""

    origin: str
    account: str = ""
    endpoint: str = ""
    key: str = field(default="", repr=False)
    sas: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    tenant: str = ""
    ambient: bool = False  # an identity of the pod: the client library finds it by itself
    share_endpoint: str = ""  # of the account's file shares

    def at(self, account: str, query: str) -> "AzureOptions":
        """Let what an address says, of an account and a signature, count before the rest."""
        if not account:
            return self
        if "sig=" not in query:
            return replace(self, account=account)
        bare = AzureOptions("the address", account=account, sas=query)
        return replace(bare, endpoint=self.endpoint, share_endpoint=self.share_endpoint)

    @property
    def identity(self) -> str:
        """What messages say of who asks."""
        if self.anonymous:
            return "anonymous access"
        if self.token:
            return "its access token"
        if self.key:
            return f"the key of account {self.account}"
        if self.client_secret:
            return f"client {self.client_id}"
        return "its SAS token" if self.sas else "the pod's identity"

    @property
    def anonymous(self) -> bool:
        """Whether nothing is there to log in with."""
        return not (self.ambient or self.key or self.sas or self.token or self.client_secret)


@dataclass(frozen=True, slots=True)
class HuggingFaceOptions:
    """How to reach the Hugging Face Hub."""

    origin: str
    token: str = field(default="", repr=False)
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class GitOptions:
    """How to reach a git server."""

    origin: str
    user: str = ""
    password: str = field(default="", repr=False)


def s3(credentials: Credentials) -> S3Options:
    """Choose what an S3 bucket is reached with."""
    environ = credentials.environ
    holder = next((each for each in credentials.secrets if _is_s3(each)), None)
    if holder is not None:
        return _s3_options(holder.name, holder, holder.data, environ)
    account = credentials.account
    if account and "eks.amazonaws.com/role-arn" in account.annotations:
        return _as_role(_s3_options(account.name, account, {}, environ))
    is_given_a_role = any(
        environ.get(name)
        for name in ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    )
    values = account or Holder("", {}, {})
    if _first(environ, _ACCESS_KEYS) or is_given_a_role:
        options = _s3_options(ENVIRONMENT, values, environ, environ)
        return options if options.access_key else _as_role(options)
    options = _s3_options(NONE, values, {}, environ)
    return replace(options, origin=values.name) if options.ambient else options


def _as_role(options: S3Options) -> S3Options:
    return replace(options, ambient=True, anonymous=False)


def gcs(credentials: Credentials) -> GcsOptions:
    """Choose what a Google Cloud Storage bucket is reached with."""
    environ = credentials.environ
    endpoint = environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
    if endpoint and "://" not in endpoint:
        endpoint = f"http://{endpoint}"
    for secret in credentials.secrets:
        if key := secret.data.get(names.GOOGLE_KEY, ""):
            return GcsOptions(secret.name, key=key, endpoint=endpoint)
    if path := environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""):
        return GcsOptions(ENVIRONMENT, key_file=path, endpoint=endpoint)
    account = credentials.account
    if account and "iam.gke.io/gcp-service-account" in account.annotations:
        return GcsOptions(account.name, ambient=True, endpoint=endpoint)
    return GcsOptions(NONE, endpoint=endpoint)


def azure(credentials: Credentials) -> AzureOptions:
    """Choose what an Azure container is reached with."""
    environ = credentials.environ
    holder = next((each for each in credentials.secrets if _is_azure(each.data)), None)
    if holder is not None:
        return _azure_options(holder.name, holder.data)
    if _is_azure(environ):
        return _azure_options(ENVIRONMENT, environ)
    options = _azure_options(NONE, environ)
    return replace(options, ambient=any(environ.get(name) for name in _AZURE_AMBIENT))


def _is_azure(values: Mapping[str, str]) -> bool:
    names = ("key", "sas", "token", "client_secret")
    return any(_first(values, _AZURE_VALUES[name]) for name in names)


def _azure_options(origin: str, values: Mapping[str, str]) -> AzureOptions:
    found = {name: _first(values, keys) for name, keys in _AZURE_VALUES.items()}
    return AzureOptions(
        origin,
        account=found["account"],
        endpoint=found["endpoint"].rstrip("/"),
        key=found["key"],
        sas=found["sas"].removeprefix("?"),
        token=found["token"],
        client_id=found["client_id"],
        client_secret=found["client_secret"],
        tenant=found["tenant"],
        share_endpoint=found["share_endpoint"].rstrip("/"),
    )


def huggingface(credentials: Credentials) -> HuggingFaceOptions:
    """Choose what the Hugging Face Hub is reached with."""
    environ = credentials.environ
    for holder in credentials.secrets:
        if token := holder.data.get("HF_TOKEN", "").strip():
            endpoint = holder.data.get("HF_ENDPOINT", "") or environ.get("HF_ENDPOINT", "")
            return HuggingFaceOptions(holder.name, token, endpoint.strip().rstrip("/"))
    token = environ.get("HF_TOKEN", "").strip()
    origin = ENVIRONMENT if token else NONE
    return HuggingFaceOptions(origin, token, environ.get("HF_ENDPOINT", "").strip().rstrip("/"))


def git(host: str, credentials: Credentials) -> GitOptions:
    """Choose what a git server is reached with; a Secret with `https-host` is for that one."""
    for holder in credentials.secrets:
        if holder.data.get("https-host", host) == host and holder.data.get(_GIT_PASSWORD):
            return _git_options(holder.name, holder.data)
    if credentials.environ.get(_GIT_PASSWORD):
        return _git_options(ENVIRONMENT, credentials.environ)
    return GitOptions(NONE)


def _git_options(origin: str, values: Mapping[str, str]) -> GitOptions:
    # Servers that take a token as the password want some user, and do not care which.
    user = values.get(_GIT_USERNAME, "").strip() or "git"
    return GitOptions(origin, user, values[_GIT_PASSWORD].strip())


def headers(host: str, credentials: Credentials) -> tuple[str, str]:
    """Choose the headers for an http(s) host: whose they are, and their JSON object or lines."""
    for secret in credentials.secrets:
        if secret.data.get("https-host", "") == host:
            return secret.name, secret.data.get("headers", "")
    return NONE, credentials.environ.get(f"{host}-headers", "")


def hint(credentials: Credentials, origin: str, keys: str = "the keys") -> str:
    """Say what to do where nothing was found to log in with."""
    if origin != NONE:
        return ""
    return "; ".join(credentials.missing) or (
        f"list a Secret with {keys} under secrets of the pod's ServiceAccount"
    )


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
    endpoint = _endpoint(values["s3-endpoint"], values["s3-usehttps"])
    if values["s3-useaccelerate"].lower() in _YES and not endpoint:
        endpoint = "https://s3-accelerate.amazonaws.com"
    # Nothing to log in with, yet no stranger either: the role of the pod or of its node.
    ambient = values["s3-useanoncredential"].lower() in _NO and not access_key
    told = {name: _first(environ, names) for name, names in _S3_ROLE.items()}
    is_stranger = values["s3-useanoncredential"].lower() in _YES
    return S3Options(
        origin=origin,
        endpoint=endpoint,
        region=values["s3-region"] or "us-east-1",
        access_key=access_key,
        secret_key=_first(data, _SECRET_KEYS),
        session_token=data.get("AWS_SESSION_TOKEN", "").strip(),
        anonymous=is_stranger or not (access_key or ambient),
        ambient=ambient,
        verify=values["s3-verifyssl"].lower() not in _NO,
        virtual_host=values["s3-usevirtualbucket"].lower() in _YES
        or values["s3-useaccelerate"].lower() in _YES,
        ca_bundle=values["s3-cabundle"],
        authority=holder.data.get(names.CA_BUNDLE_KEY, "") or holder.authority,
        problem=holder.problem,
        role=tuple((name, value) for name, value in told.items() if value),
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
