"""Condition types, condition reasons and event reasons, each word written once.

Where upstream has a word for a thing (contract §2.17, §5.4), that word is used.
"""

from enum import StrEnum


class Condition(StrEnum):
    """Types of the conditions in the status of our resources."""

    READY = "Ready"
    PREDICTOR_READY = "PredictorReady"
    INGRESS_READY = "IngressReady"
    STOPPED = "Stopped"
    FIELDS_HONOURED = "FieldsHonoured"
    ENTRY_SERVICE_READY = "EntryServiceReady"
    RUNTIME_AVAILABLE = "RuntimeAvailable"
    STORAGE_CONTAINER_AVAILABLE = "StorageContainerAvailable"
    AUTOSCALER_READY = "AutoscalerReady"
    PODS_CURRENT = "PodsCurrent"
    INFERENCE_SERVICE_READY = "InferenceServiceReady"
    IS_MMS_PREDICTOR = "IsMMSPredictor"
    MEMORY_RESOURCE_AVAILABLE = "MemoryResourceAvailable"
    MODEL_LOADED = "ModelLoaded"
    SERVING = "Serving"


class Reason(StrEnum):
    """Why a condition is as it is; an event about it carries the same word."""

    # InferenceService (contract §1.3, §2.10, §2.12, §2.17)
    STOPPED = "Stopped"
    RECONCILE_FAILED = "ReconcileFailed"
    INVALID_SPEC = "InvalidSpec"
    INVALID_PREDICTOR_SPEC = "InvalidPredictorSpec"
    NOT_SUPPORTED = "NotSupported"
    RUNTIME_NOT_RECOGNIZED = "RuntimeNotRecognized"
    RUNTIME_DISABLED = "RuntimeDisabled"
    NO_SUPPORTING_RUNTIME = "NoSupportingRuntime"
    STORAGE_CONTAINER_NOT_FOUND = "StorageContainerNotFound"
    STORAGE_CONTAINER_DISABLED = "StorageContainerDisabled"
    STORAGE_CONTAINER_UNFIT = "StorageContainerUnfit"
    STORAGE_CONTAINER_INVALID = "StorageContainerInvalid"
    STORAGE_CONTAINERS_OVERLAP = "StorageContainersOverlap"
    SECRETS_AMBIGUOUS = "SecretsAmbiguous"
    ROLLOUT_PENDING = "RolloutPending"
    KEDA_NOT_INSTALLED = "KedaNotInstalled"
    AUTOSCALER_NOT_READY = "AutoscalerNotReady"
    OUTDATED = "Outdated"
    NOT_OWNED = "NotOwned"
    DEPLOYMENT_NOT_CREATED = "DeploymentNotCreated"
    DEPLOYMENT_PENDING = "DeploymentPending"
    FIELDS_IGNORED = "FieldsIgnored"
    FIELDS_MISSPELT = "FieldsMisspelt"
    PREDICTOR_INGRESS_NOT_CREATED = "PredictorIngressNotCreated"
    INFERENCE_SERVICE_READY = "InferenceServiceReady"
    INFERENCE_SERVICE_NOT_READY = "InferenceServiceNotReady"
    NAME_TAKEN = "NameTaken"
    CONFIG_INVALID = "ConfigInvalid"
    CONFIG_APPLIED = "ConfigApplied"

    # TrainedModel (contract §5.4)
    INFERENCE_SERVICE_NOT_FOUND = "InferenceServiceNotFound"
    IS_NOT_MMS_PREDICTOR = "IsNotMMSPredictor"
    MEMORY_RESOURCE_NOT_AVAILABLE = "MemoryResourceNotAvailable"
    NOT_ADMITTED = "NotAdmitted"
    MODEL_TOO_BIG = "ModelTooBig"
    LOADED = "Loaded"
    MODEL_LOADED = "ModelLoaded"
    REFRESHED = "Refreshed"
    MODEL_NOT_LOADED = "ModelNotLoaded"
    NO_READY_REPLICA = "NoReadyReplica"
    AGENT_UNREACHABLE = "AgentUnreachable"

    # One model on one replica, as its agent says (also condition reasons)
    PENDING = "Pending"
    DOWNLOADING = "Downloading"
    LOADING = "Loading"
    SERVER_UNAVAILABLE = "ServerUnavailable"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    CREDENTIALS_NOT_FOUND = "CredentialsNotFound"
    CLAIM_NOT_MOUNTED = "ClaimNotMounted"
    MODEL_NOT_FOUND = "ModelNotFound"
    INVALID_STORAGE_URI = "InvalidStorageUri"
    INVALID_ARTIFACT = "InvalidArtifact"
    DIGEST_MISMATCH = "DigestMismatch"
    ARTIFACT_TOO_LARGE = "ArtifactTooLarge"
    STORE_FULL = "StoreFull"
    DOWNLOAD_FAILED = "DownloadFailed"
    MODEL_LOAD_FAILED = "ModelLoadFailed"

    # InferenceService.status.modelStatus (contract §1.3)
    RUNTIME_UNHEALTHY = "RuntimeUnhealthy"
