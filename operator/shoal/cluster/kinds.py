"""The kinds of objects that the operator reads and writes, and their places in the API.

Pure data; called by the client for URLs, by the store for its shelves and by the handlers
for what to watch.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from shoal import names


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: where the API serves it, and which of its objects concern us.

    `selector` is a label selector for lists and watches: objects of core kinds that are
    not an InferenceService's are never asked for.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    selector: str = ""

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version within the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Make the URL path of the collection, of one object or of its subresource."""
        parts = ["apis" if self.group else "api", self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [self.plural, quote(name, safe=""), subresource]
        return "/" + "/".join(part for part in parts if part)


_OURS: Final = names.INFERENCE_SERVICE_LABEL

INFERENCE_SERVICE: Final = Kind(f"{names.GROUP}/v1beta1", "InferenceService", "inferenceservices")
TRAINED_MODEL: Final = Kind(f"{names.GROUP}/v1alpha1", "TrainedModel", "trainedmodels")
SERVING_RUNTIME: Final = Kind(f"{names.GROUP}/v1alpha1", "ServingRuntime", "servingruntimes")
CLUSTER_SERVING_RUNTIME: Final = Kind(
    f"{names.GROUP}/v1alpha1",
    "ClusterServingRuntime",
    "clusterservingruntimes",
    namespaced=False,
)
CLUSTER_STORAGE_CONTAINER: Final = Kind(
    f"{names.GROUP}/v1alpha1",
    "ClusterStorageContainer",
    "clusterstoragecontainers",
    namespaced=False,
)
DEPLOYMENT: Final = Kind("apps/v1", "Deployment", "deployments", selector=_OURS)
SERVICE: Final = Kind("v1", "Service", "services", selector=_OURS)
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps", selector=_OURS)
POD: Final = Kind("v1", "Pod", "pods", selector=_OURS)
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
AUTOSCALER: Final = Kind(
    "autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", selector=_OURS
)
SCALED_OBJECT: Final = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", selector=_OURS)
INGRESS: Final = Kind("networking.k8s.io/v1", "Ingress", "ingresses", selector=_OURS)
ROLE: Final = Kind("rbac.authorization.k8s.io/v1", "Role", "roles", selector=_OURS)
ROLE_BINDING: Final = Kind(
    "rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", selector=_OURS
)
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
EVENT: Final = Kind("v1", "Event", "events")

CHILDREN: Final = (DEPLOYMENT, SERVICE, CONFIG_MAP, AUTOSCALER, INGRESS, ROLE, ROLE_BINDING)
OPTIONAL: Final = (SCALED_OBJECT,)
"""Children of kinds that not every cluster knows; they are watched where it does."""

SCALERS: Final = (AUTOSCALER, SCALED_OBJECT)
RUNTIMES: Final = (SERVING_RUNTIME, CLUSTER_SERVING_RUNTIME)
WATCHED: Final = (
    *(INFERENCE_SERVICE, TRAINED_MODEL, *RUNTIMES, CLUSTER_STORAGE_CONTAINER),
    *(*CHILDREN, POD, SERVICE_ACCOUNT),
)

_BY_NAME: Final = {
    (kind.api_version, kind.kind): kind for kind in (*WATCHED, *OPTIONAL, LEASE, EVENT)
}


def of(body: dict[str, object]) -> Kind:
    """Find the kind of a manifest.

    Raises:
        KeyError: the manifest is of a kind that the operator does not handle.
    """
    return _BY_NAME[str(body["apiVersion"]), str(body["kind"])]
