"""Derived names, label and annotation keys, fixed ports and paths: one place for each.

Names are upstream's (contract §2.3, §5.2, §10.1, §10.2) unless a comment says why not.
"""

import hashlib
import re
from typing import Final

GROUP: Final = "serving.kserve.io"
OWN_DOMAIN: Final = "kserve.io"  # of every key by which the operator is told something
FIELD_MANAGER: Final = "shoal"
INFERENCE_SERVICE_VERSION: Final = "serving.kserve.io/v1beta1"
INFERENCE_SERVICE_KIND: Final = "InferenceService"

# Labels and annotations.
INFERENCE_SERVICE_LABEL: Final = "serving.kserve.io/inferenceservice"
COMPONENT_LABEL: Final = "component"
APP_LABEL: Final = "app"
TRAINED_MODEL_PARENT_LABEL: Final = "inferenceservice"
VISIBILITY_LABEL: Final = "networking.kserve.io/visibility"
AUTOSCALER_CLASS_ANNOTATION: Final = "serving.kserve.io/autoscalerClass"
DEPLOYMENT_MODE_ANNOTATION: Final = "serving.kserve.io/deploymentMode"
DISABLE_UPDATE_ANNOTATION: Final = "serving.kserve.io/disable-auto-update"
STOP_ANNOTATION: Final = "serving.kserve.io/stop"
CA_BUNDLE_ANNOTATION: Final = "serving.kserve.io/s3-cabundle-configmap"
STORAGE_SECRET_ANNOTATION: Final = "serving.kserve.io/storageSecretName"  # noqa: S105 - a key
REFRESH_ANNOTATION: Final = "serving.kserve.io/refresh"  # ours
ARTIFACT_DIGEST_ANNOTATION: Final = "serving.kserve.io/artifact-digest"  # ours
MODEL_CACHE_ANNOTATION: Final = "serving.kserve.io/model-cache"  # ours
STORAGE_READ_ONLY_ANNOTATION: Final = "storage.kserve.io/readonly"
AGENT_ANNOTATION: Final = "internal.serving.kserve.io/agent"
CONFIG_VOLUME_ANNOTATION: Final = "internal.serving.kserve.io/configVolumeName"
CONFIG_MOUNT_ANNOTATION: Final = "internal.serving.kserve.io/configMountPath"
MODELS_DIGEST_ANNOTATION: Final = "internal.serving.kserve.io/models-digest"  # ours
MODEL_DIR_ANNOTATION: Final = "internal.serving.kserve.io/modelDir"
SERVER_TYPE_ANNOTATION: Final = "serving.kserve.io/server-type"
MODEL_FORMAT_ANNOTATION: Final = "modelFormat"
MODEL_CLASS_LABEL: Final = "modelClass"
SERVICE_ENVELOPE_LABEL: Final = "serviceEnvelope"
# Ours, on the Deployment alone: what it was made from.
RUNTIME_ANNOTATION: Final = "internal.serving.kserve.io/serving-runtime"
PREDICTOR_DIGEST_ANNOTATION: Final = "internal.serving.kserve.io/predictor-digest"
TEMPLATE_ANNOTATION: Final = "internal.serving.kserve.io/pod-template"
PROTOCOL_ANNOTATION: Final = "internal.serving.kserve.io/protocol-version"

# Containers, volumes, ports, paths.
PREDICTOR_CONTAINER: Final = "kserve-container"
TRANSFORMER_CONTAINER: Final = "transformer-container"
AGENT_CONTAINER: Final = "agent"
STORAGE_INITIALIZER_CONTAINER: Final = "storage-initializer"
# One for each image that a pod may have (contract §4.4); upstream has a name for the first.
MODELCAR_CONTAINERS: Final = ("modelcar", *(f"modelcar-{number}" for number in range(1, 10)))
MODEL_DIR_VOLUME: Final = "model-dir"
MODEL_CONFIG_VOLUME: Final = "model-config"
MODEL_STORE_VOLUME: Final = "model-store"
AGENT_TOKEN_VOLUME: Final = "agent-token"  # noqa: S105 - a volume's name
PROVISION_VOLUME: Final = "kserve-provision-location"
CLAIM_VOLUME: Final = "kserve-pvc-source"
MODEL_CACHE_VOLUME: Final = "shoal-model-cache"
IMAGE_VOLUME: Final = "kserve-oci-source"  # ours
CA_BUNDLE_VOLUME: Final = "cabundle-cert"
GOOGLE_KEY_VOLUME: Final = "user-gcp-sa"
STORAGE_URI_VARIABLE: Final = "STORAGE_URI"  # of a server's container
SERVICE_PORT: Final = 80
DEFAULT_SERVER_PORT: Final = 8080
AGENT_ADMIN_PORT: Final = 9082  # 9081 is upstream's port of the agent's data path
AGENT_ADMIN_PORT_NAME: Final = "agent-admin"
AGENT_BEAT_HEADER: Final = "Shoal-Beat-Seconds"  # so often an agent gives a sign of life
AGENT_DRAIN_PATH: Final = "/drain"
MODEL_DIR: Final = "/mnt/models"
MODEL_CACHE_DIR: Final = "/mnt/model-cache"
IMAGE_MODEL_DIR: Final = "/models"  # where an image has its model
MODEL_STORE_DIR: Final = "/mnt/store"
MODEL_CONFIG_DIR: Final = "/mnt/configs"
CLAIM_DIR: Final = "/mnt/claims"
LINKS_DIR: Final = "/mnt/modelcar"  # of a modelcar: where it links its model
SECRETS_DIR: Final = "/var/secrets"
GOOGLE_KEY: Final = "gcloud-application-credentials.json"
CA_BUNDLE_KEY: Final = "cabundle.crt"
CA_BUNDLE_MARK: Final = "-----BEGIN CERTIFICATE-----"  # what has none is no bundle
CA_BUNDLE_CONFIG_MAP_VARIABLE: Final = "CA_BUNDLE_CONFIGMAP_NAME"
CA_BUNDLE_FOLDER_VARIABLE: Final = "CA_BUNDLE_VOLUME_MOUNT_POINT"
MODELS_KEY: Final = "models.json"
SHARDS_KEY: Final = "shards"  # ours; absent where there is one
MOUNTED_SHARDS: Final = 8  # never fewer or more: each change of it would restart every pod

_LABEL: Final = 63
_PLAIN_FOLDER: Final = re.compile("(/[a-z0-9]+)+")

OLDEST_KUBERNETES: Final = (1, 29)  # that the chart installs on
OPERATOR_CONFIG: Final = "inferenceservice-config"
LEASE: Final = "shoal-operator"


def predictor(inference_service: str, predictor_name: str = "") -> str:
    """Name the predictor's Deployment, Service and HPA."""
    if predictor_name:
        return f"{inference_service}-{predictor_name}-predictor"
    return f"{inference_service}-predictor"


def app(component: str) -> str:
    """Make the value of the `app` label, the pods' selector, of a component object."""
    return f"isvc.{component}"


def ingress(inference_service: str) -> str:
    """Name the Ingress."""
    return inference_service


def entry_service(inference_service: str) -> str:
    """Name the Service that answers for the InferenceService inside the cluster (W1.7)."""
    return inference_service


def service_port(number: int) -> str:
    """Name a port that the user left without a name, where a Service needs one."""
    return f"port-{number}"


def model_config(inference_service: str, shard: int = 0) -> str:
    """Name a ConfigMap that lists the models."""
    return f"modelconfig-{inference_service}-{shard}"


def ca_bundle(inference_service: str) -> str:
    """Name a service's copy of the CA bundle; upstream has one for each namespace."""
    return f"cabundle-{inference_service}"


def mounted_shard(shard: int, key: str) -> str:
    """Name the file of a shard's key below the mounted folder; upstream's path for the first."""
    return f"{shard}/{key}" if shard else key


def model_volume(folder: str) -> str:
    """Name the volume that is mounted at a folder, as upstream where that is a unique label."""
    slug = re.sub("[^a-z0-9]+", "-", folder.lower()).strip("-")
    if _PLAIN_FOLDER.fullmatch(folder) and len(slug) <= _LABEL:
        return slug
    digest = hashlib.sha256(folder.encode()).hexdigest()[:8]
    return f"{slug[: _LABEL - len(digest) - 1]}-{digest}".lstrip("-")


def agent_role(inference_service: str) -> str:
    """Name the agent's Role and RoleBinding."""
    return f"{inference_service}-agent"
