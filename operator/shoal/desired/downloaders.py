"""The init container of a ClusterStorageContainer: what it is made of (contract §4.2, §4.5).

A container with an image of its own is told what upstream tells it, in upstream's variables. The
operator reads no Secret for that: each variable is a reference that may lead to nothing. One
without an image is the operator's own, changed by what it says. Caller: initcontainers.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal import names, storagespecs
from shoal.api.storagecontainers import StorageContainer
from shoal.desired import additions, bundles, credentials, metadata, storagecontainers
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import merges

Row = dict[str, Any]

_GOOGLE: Final = "gs://"
_KEYS: Final = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("AZ_CLIENT_ID", "AZ_CLIENT_SECRET", "AZ_TENANT_ID", "AZ_SUBSCRIPTION_ID"),
    *("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"),
    *("AZURE_ACCESS_TOKEN", "AZURE_STORAGE_ACCESS_KEY"),
    *("HF_TOKEN", "MODELSCOPE_API_TOKEN"),
)
"""Keys of a Secret that are variables of the same name."""

_ENDPOINT: Final = ("S3_ENDPOINT", "AWS_ENDPOINT_URL", "S3_USE_HTTPS")
_S3: Final = {
    "s3-region": "AWS_DEFAULT_REGION",
    "s3-verifyssl": "S3_VERIFY_SSL",
    "s3-usevirtualbucket": "S3_USER_VIRTUAL_BUCKET",
    "s3-useaccelerate": "S3_USE_ACCELERATE",
    "s3-useanoncredential": "awsAnonymousCredential",
}
"""Annotations of the ServiceAccount; the Secret may have the variable as a key instead."""

_AUTHORITY: Final = "AWS_CA_BUNDLE"  # a path, which no key of a Secret is
_DEFAULTS: Final = {
    "HF_HUB_ENABLE_HF_TRANSFER": "1",
    "HF_XET_HIGH_PERFORMANCE": "1",
    "HF_XET_NUM_CONCURRENT_RANGE_GETS": "8",
}


def make(wanted: Wanted, mounts: Sequence[Row]) -> Row:
    """Make what a container with an image of its own is merged over.

    It has the settings of the operator's own that do not depend on the program.
    """
    config = wanted.config.storage_initializer
    usual = additions.container(names.STORAGE_INITIALIZER_CONTAINER, config)
    kept = ("name", "resources", "terminationMessagePath", "terminationMessagePolicy")
    rows = storagecontainers.addresses(wanted.service.predictor)
    made = {
        **{key: usual[key] for key in kept},
        "args": [word for row in rows for word in (row.uri, row.folder)],
        "env": [*_credentials(wanted), *additions.env(bundles.env(wanted, _authority(wanted)))],
        "volumeMounts": [*mounts, *bundles.mounts(wanted, _authority(wanted))],
    }
    if _key(wanted):
        made["volumeMounts"].append(additions.mount(names.GOOGLE_KEY_VOLUME, names.SECRETS_DIR))
    return made


def merge(base: Row, container: StorageContainer) -> Row:
    """Merge a container over another; its name stays, and `args` replace those before, if any.

    Raises:
        StalledError: an amount is no quantity.
    """
    over = container.spec.container | {"name": base["name"]}
    args = over.get("args") or base["args"]
    try:
        made = merges.containers(base | {"args": []}, over)
    except ValueError as error:
        raise StalledError(
            Reason.STORAGE_CONTAINER_UNFIT, f"{container.title}: spec.container.resources: {error}"
        ) from error
    if not container.is_ours:
        known = {row["name"] for row in made["env"]}
        more = {key: value for key, value in _DEFAULTS.items() if key not in known}
        made["env"] = [*made["env"], *additions.env(more)]
    return made | {"args": args}


def volumes(wanted: Wanted) -> list[Row]:
    """Make the volumes that a container with an image of its own has beside the models'."""
    made = bundles.volumes(wanted, _authority(wanted))
    if secret := _key(wanted):
        key = {"key": names.GOOGLE_KEY, "path": names.GOOGLE_KEY}
        source = {"secretName": secret, "items": [key], "optional": True}
        source["defaultMode"] = additions.READ_BY_ALL
        made.append({"name": names.GOOGLE_KEY_VOLUME, "secret": source})
    return made


def doubt(wanted: Wanted) -> StalledError | None:
    """Say that of several Secrets only one is given; None where there is no doubt."""
    container = wanted.foreign_container
    if container is None or credentials.spec(wanted):
        return None
    if credentials.secret(wanted) or len(wanted.secrets) < 2:  # noqa: PLR2004 - one is no choice
        return None
    account = wanted.service.predictor.service_account_name
    annotation = wanted.config.credentials.storage_secret_name_annotation
    return StalledError(
        Reason.SECRETS_AMBIGUOUS,
        f"{container.title} is given the keys of Secret {_secret(wanted)} alone, the first by name"
        f" of those that ServiceAccount {account} lists ({', '.join(wanted.secrets)}); annotation"
        f" {annotation} of the InferenceService names another.",
    )


def _credentials(wanted: Wanted) -> list[Row]:
    if spec := credentials.spec(wanted):
        text = json.dumps(spec.given, sort_keys=True, separators=(",", ":"))
        entry = _reference("STORAGE_CONFIG", spec.secret, spec.entry, is_optional=not spec.key)
        return [entry, *additions.env({"STORAGE_OVERRIDE_CONFIG": text})]
    plain = _plain(wanted)
    secret = _secret(wanted)
    keys = [*_KEYS, *_ENDPOINT, *_S3.values()] if secret else []
    referred = [_reference(key, secret, key) for key in keys if key not in plain]
    return [*referred, *additions.env(plain)]


def _reference(variable: str, secret: str, key: str, *, is_optional: bool = True) -> Row:
    source: Row = {"name": secret, "key": key}
    if is_optional:
        source["optional"] = True
    return {"name": variable, "valueFrom": {"secretKeyRef": source}}


def _plain(wanted: Wanted) -> dict[str, str]:
    """Read what the ServiceAccount's annotations say of S3."""
    said = {key.partition("/")[2]: value for key, value in wanted.account.items() if _is_s3(key)}
    made = {variable: said[key] for key, variable in _S3.items() if said.get(key)}
    scheme, _, host = said.get("s3-endpoint", "").rpartition("://")
    asked = said.get("s3-usehttps", "")
    if host:
        scheme = scheme or ("http" if asked == "0" else "https")
        asked = "0" if scheme == "http" else "1"
        made |= {"S3_ENDPOINT": host, "AWS_ENDPOINT_URL": f"{scheme}://{host}"}
    if asked:
        made["S3_USE_HTTPS"] = asked
    if path := said.get("s3-cabundle"):
        made[_AUTHORITY] = path
    return made


def _is_s3(key: str) -> bool:
    return key.startswith(f"{names.GROUP}/s3-")


def _secret(wanted: Wanted) -> str:
    """Name the one Secret whose keys are given: whose the others are cannot be known unread."""
    return credentials.secret(wanted) or next(iter(wanted.secrets), "")


def _key(wanted: Wanted) -> str:
    """Name the Secret that may have Google's key, where it may be asked for."""
    rows = storagecontainers.addresses(wanted.service.predictor)
    is_asked = any(row.uri.startswith(_GOOGLE) for row in rows)
    return _secret(wanted) if is_asked and not credentials.spec(wanted) else ""


def _authority(wanted: Wanted) -> str:
    """Name the ConfigMap with an authority that the service or its ServiceAccount names."""
    annotations: Mapping[str, str] = metadata.component_annotations(wanted)
    given = credentials.spec(wanted)
    named = given.given.get(storagespecs.CA_BUNDLE, "") if given else ""
    return named or annotations.get(names.CA_BUNDLE_ANNOTATION, "") or wanted.ca_bundle
