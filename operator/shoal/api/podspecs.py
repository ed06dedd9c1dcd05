"""The parts of core/v1 that our resources inline: which fields, and their schemas.

The operator knows the names of the fields only. The schemas come from the Kubernetes client's
models when `crds` makes the CRDs, and are imported then and not before: they would cost the
operator tens of MiB.
"""

from typing import Any, Final

INLINE: Final = "x-shoal-inline"
KUBERNETES: Final = "x-shoal-kubernetes"
COMPONENT_POD: Final = "component-pod"
RUNTIME_POD: Final = "runtime-pod"
CONTAINER: Final = "container"
ENVIRONMENT: Final = "environment"

POD_FIELDS: Final = frozenset(
    {
        "activeDeadlineSeconds",
        "affinity",
        "automountServiceAccountToken",
        "containers",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "evictionResponders",
        "hostAliases",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostUsers",
        "hostname",
        "hostnameOverride",
        "imagePullSecrets",
        "initContainers",
        "nodeName",
        "nodeSelector",
        "os",
        "overhead",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "readinessGates",
        "resourceClaims",
        "resources",
        "restartPolicy",
        "runtimeClassName",
        "schedulerName",
        "schedulingGates",
        "schedulingGroup",
        "securityContext",
        "serviceAccount",
        "serviceAccountName",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "subdomain",
        "terminationGracePeriodSeconds",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
    }
)


def kubernetes(model: str) -> dict[str, Any]:
    """Stand for the schema of a model of the Kubernetes client, until `crds` puts it in."""
    return {KUBERNETES: model}
