"""What one reconcile knows when it builds the children; made by `reconcile`, read here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal import modelconfig, names
from shoal.api.inferenceservices import InferenceService
from shoal.api.settings import ServingConfig
from shoal.api.storagecontainers import StorageContainer
from shoal.desired.storagecontainers import Choice
from shoal.runtimes.servers import Server


@dataclass(frozen=True, slots=True)
class Wanted:
    """One InferenceService with all that its children are made of.

    `server` is what its pods run, resolved. `models` are the admitted ones, and `live_shards`
    in how many ConfigMaps the list of models is now; `is_host` tells whether the predictor gets
    an agent (`hosts.is_host`); `secrets` are the names that the pod's ServiceAccount lists;
    `account` are its annotations; `storage` tells who fetches the service's own models;
    `entry_service` is False where somebody else has a Service of the InferenceService's name;
    `may_grant_secrets` tells whether the operator holds the right to pass on;
    `authority` is the installation's CA bundle as PEM text, as far as it is known;
    `has_keda` tells whether the cluster knows KEDA's ScaledObject, `kubernetes` is its version;
    `predictor_digest` and `source_digest` are of what pods are made of (`records.Record`);
    `deployment` is the predictor's as it is now;
    `make_room` tells that no node has room for the first pod with an agent beside one without.
    """

    service: InferenceService
    config: ServingConfig
    server: Server
    models: tuple[modelconfig.Model, ...] = ()
    live_shards: int = 1
    is_host: bool = False
    secrets: tuple[str, ...] = ()
    account: Mapping[str, str] = field(default_factory=dict)
    storage: Choice = field(default_factory=Choice)
    entry_service: bool = True
    has_keda: bool = False
    kubernetes: tuple[int, int] = names.OLDEST_KUBERNETES
    predictor_digest: str = ""
    source_digest: str = ""
    deployment: Mapping[str, Any] | None = None
    make_room: bool = False
    authority: str = ""
    may_grant_secrets: bool = True

    @property
    def name(self) -> str:
        """The InferenceService's name."""
        return self.service.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace of the InferenceService and of all its children."""
        return self.service.metadata.namespace

    @property
    def ca_bundle(self) -> str:
        """The ConfigMap with an authority for S3 that the pod's ServiceAccount names."""
        return self.account.get(names.CA_BUNDLE_ANNOTATION, "")

    @property
    def storage_container(self) -> StorageContainer | None:
        """The container that fetches the service's own models, None for the operator's own."""
        return self.storage.container

    @property
    def foreign_container(self) -> StorageContainer | None:
        """The same, None also where it only changes the operator's own."""
        container = self.storage_container
        return None if container is None or container.is_ours else container

    @property
    def predictor(self) -> str:
        """The name that the predictor's Deployment, Service and HPA share."""
        return names.predictor(self.name, self.service.spec.predictor.name)
