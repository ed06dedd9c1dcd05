"""Writes docs/reference/config.md from the types that the operator reads its configuration with.

`make generate` runs it; a test runs it again and compares.
"""
# ruff: noqa: INP001 - a command, not a package

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from shoal.api import settings

TARGET = Path(__file__).resolve().parent / "reference" / "config.md"
KEYS: dict[str, type[settings.Part]] = {
    "ingress": settings.IngressConfig,
    "deploy": settings.DeployConfig,
    "service": settings.ServiceConfig,
    "inferenceService": settings.InferenceServiceConfig,
    "agent": settings.AgentConfig,
    "storageInitializer": settings.StorageInitializerConfig,
    "credentials": settings.CredentialsConfig,
}
NO_EFFECT = "Checked, without effect in this version."
# What the names of the fields do not say.
MEANINGS = {
    "ingressDomain": "Last part of every URL.",
    "additionalIngressDomains": "More domains; a service has a host in each, by the same "
    "template.",
    "ingressClassName": "Class of the Ingresses. Empty leaves it to the cluster's default class.",
    "domainTemplate": "Host of a service, from `.Name`, `.Namespace`, `.IngressDomain`, "
    "`.Annotations` and `.Labels`.",
    "urlScheme": "`http` or `https`, as the ingress controller serves it.",
    "pathTemplate": "Must be empty: routing by path is not served by this version.",
    "disableIngressCreation": "Make no Ingress; IngressReady is then True.",
    "enableGatewayApi": "Must be false: the Gateway API is not served by this version.",
    "defaultDeploymentMode": "Must be `Standard` (or `RawDeployment`, its old name).",
    "deploymentRolloutStrategy.defaultRollout.maxSurge": "Pods above the wanted number while a "
    "Deployment rolls, such as `1` or `25%`.",
    "deploymentRolloutStrategy.defaultRollout.maxUnavailable": "Pods below the wanted number "
    "while a Deployment rolls.",
    "maxConcurrentRollouts": "Services whose pods are made anew at a time because a runtime, this "
    "configuration or the operator changed ([operations](../operations.md#when-pods-restart)).",
    "serviceClusterIPNone": "Make predictors' Services headless: their names lead to the pods, "
    "and `status.address` has the server's port. A change makes the Services anew.",
    "image": "Image of the container. Unset, the operator's own.",
    "cpuRequest": "CPU that the container requests.",
    "cpuLimit": "CPU limit of the container.",
    "memoryRequest": "Memory that the container requests.",
    "memoryLimit": "Memory limit of the container.",
    "storeLimit": "Disk that one pod's models may take, such as `20Gi`: the size limit of their "
    "volume, which the agent keeps to. `0` leaves the bound to the node's disk. A change rolls "
    "the pods.",
    "fetchConcurrency": "Models that one agent downloads at once. This and the next five are "
    "explained in [storage.md](../storage.md#limits); a change rolls the pods.",
    "fetchMaxFiles": "Files that a model may have.",
    "fetchMaxSize": "Bytes that a model may have, downloaded and unpacked.",
    "fetchStallSeconds": "A download without a byte for so long is broken off and tried again.",
    "fetchSeconds": "So is a download that takes longer; the next try goes on where it stopped.",
    "archiveRatio": "How much larger than itself an archive's content may be.",
    "resource.cpuRequest": "CPU request of a server whose container names none.",
    "resource.cpuLimit": "CPU limit of a server whose container names none.",
    "resource.memoryRequest": "Memory request of a server whose container names none.",
    "resource.memoryLimit": "Memory limit of a server whose container names none; models are "
    "admitted against it.",
    "serviceAnnotationDisallowedList": "Annotations that are not passed on to the objects of "
    "a service, beside the built-in ones.",
    "caBundleConfigMapName": "ConfigMap of the operator's namespace whose `cabundle.crt` names "
    "authorities that agents and init containers trust too "
    "([storage.md](../storage.md#authorities-of-your-own)). A change of the name, not of the "
    "content, rolls the pods.",
    "caBundleVolumeMountPath": "Where they have it.",
    "enableModelcar": "Whether `oci://` may be a sidecar where `ociModelMode` says nothing "
    "([storage.md](../storage.md#images)).",
    "cpuModelcar": "CPU that the sidecar requests; its limit is the same, and `100m` at least.",
    "memoryModelcar": "Memory that the sidecar requests, and its limit.",
    "uidModelcar": "User of the sidecar and of the server, where the server has none of its own. "
    "A change of these rolls the pods that have sidecars.",
    "enableOciModelSupport": "Whether `oci://` is served although `enableModelcar` is false: as a "
    "volume, where `ociModelMode` says nothing.",
    "ociModelMode": "How `oci://` is mounted: `native`, `modelcar`, or empty: as the pods have "
    "it; for new ones `native` from Kubernetes 1.35 on, before `modelcar`. `fetch` is refused.",
    "storageSpecSecretName": "Secret that `storage` of a model reads, where no annotation names "
    "another.",
    "storageSecretNameAnnotation": "Annotation of an InferenceService that names the Secret with "
    "its credentials.",
    "serviceLabelDisallowedList": "Labels that are not passed on, beside the built-in ones.",
}
NOT_READ = {("storageInitializer", "image")}
HEAD = """<!-- Generated by `make generate` from operator/shoal/api/settings.py; do not edit. -->

# inferenceservice-config

A ConfigMap in the operator's namespace. Each key holds a JSON object, in KServe's field names; the
chart writes it from its value `config`. It is watched: a valid change is in force at once, for all
services. One that is not valid changes nothing: the last good one stays, an event on the ConfigMap
and the metric `shoal_config_valid` say so. Keys and fields that are not listed are accepted
unread.
"""


def rows(part: type[BaseModel], *, before: str = "") -> Iterator[tuple[str, str]]:
    """Give path and default of every field, those of nested objects included."""
    for field in part.model_fields.values():
        path = f"{before}{field.alias}"
        value = field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            yield from rows(type(value), before=f"{path}.")
        else:
            yield path, "" if value is None else f"`{json.dumps(value)}`"


def section(key: str, part: type[settings.Part]) -> str:
    """Write the table of one key."""
    title = (part.__doc__ or "").splitlines()[0]
    lines = [f"\n## `{key}`\n", title, "", "| field | default | |", "|---|---|---|"]
    for path, default in rows(part):
        is_unset = path == "image"
        meaning = NO_EFFECT if (key, path) in NOT_READ else MEANINGS[path]
        lines.append(f"| `{path}` | {'' if is_unset else default} | {meaning} |")
    return "\n".join(lines) + "\n"


def text() -> str:
    """Write the whole page."""
    return HEAD + "".join(section(key, part) for key, part in KEYS.items())


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    sys.exit(0 if TARGET.write_text(text()) else 1)
