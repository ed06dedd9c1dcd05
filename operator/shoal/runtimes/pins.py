"""Which runtime a service is on, as its Deployment records it (docs/runtimes.md).

A service stays on the runtime that it chose until what its pods are made of changes in its
spec: another runtime that would now be preferred moves nobody (contract's weakness C20). The
record is on the Deployment and nowhere else, so that it goes with it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shoal import names, reasons
from shoal.api import isvcrules, podspecs

Body = Mapping[str, Any]
_IMPLEMENTATION: Final = frozenset(
    {
        *(*isvcrules.KEYS, "storageUris", "storageContainerName", "workerSpec"),
        *podspecs.POD_FIELDS,
    }
)
_DIGEST_LENGTH: Final = 16
KEYS: Final = frozenset(
    {
        names.RUNTIME_ANNOTATION,
        names.PREDICTOR_DIGEST_ANNOTATION,
        names.PROTOCOL_ANNOTATION,
        names.TEMPLATE_ANNOTATION,
    }
)
"""The annotations that are a Deployment's alone: what it was made from."""


@dataclass(frozen=True, slots=True)
class Pin:
    """What the Deployment was made from: a runtime, for a predictor of this digest."""

    kind: str
    name: str
    digest: str
    protocol: str

    def encode(self) -> dict[str, str]:
        """Write the annotations of the Deployment."""
        return {
            names.RUNTIME_ANNOTATION: f"{self.kind}/{self.name}",
            names.PREDICTOR_DIGEST_ANNOTATION: self.digest,
            names.PROTOCOL_ANNOTATION: self.protocol,
        }


def decode(deployment: Body | None) -> Pin | None:
    """Read what a Deployment records; None where it was made from no runtime."""
    annotations = ((deployment or {}).get("metadata") or {}).get("annotations") or {}
    kind, _, name = annotations.get(names.RUNTIME_ANNOTATION, "").partition("/")
    if not name:
        return None
    digest = annotations.get(names.PREDICTOR_DIGEST_ANNOTATION, "")
    return Pin(kind, name, digest, annotations.get(names.PROTOCOL_ANNOTATION, ""))


def digest(predictor: Body) -> str:
    """Identify what the pods are made of in a stored spec.predictor; scaling is no part of it."""
    parts = {key: value for key, value in predictor.items() if key in _IMPLEMENTATION}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return identify(text)


def identify(text: str) -> str:
    """Make the digest by which a Deployment records what it was made from."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def concerns(runtime: Body, service: Body, deployment: Body | None) -> bool:
    """Tell whether a runtime that came, changed or went may change a service.

    It does where the service names it or is on it, and where the service still looks for one
    of this runtime's formats.
    """
    predictor = service["spec"]["predictor"]
    key = next((key for key in isvcrules.KEYS if predictor.get(key) is not None), "")
    if not key:
        return False
    meta, model = runtime["metadata"], predictor[key]
    if key == "model" and model.get("runtime"):
        named = bool(model["runtime"] == meta["name"])
        return named or _is_on(runtime, decode(deployment))
    pin = decode(deployment)
    if _is_on(runtime, pin):
        return True
    format_ = (model.get("modelFormat") or {}).get("name") if key == "model" else key
    formats = (runtime.get("spec") or {}).get("supportedModelFormats") or ()
    return _is_looking(service, pin) and any(row.get("name") == format_ for row in formats)


def _is_on(runtime: Body, pin: Pin | None) -> bool:
    place = (runtime["kind"], runtime["metadata"]["name"])
    return pin is not None and (pin.kind, pin.name) == place


def _is_looking(service: Body, pin: Pin | None) -> bool:
    """Tell whether the service is without a runtime, or on one that no longer fits."""
    if pin is None or pin.digest != digest(service["spec"]["predictor"]):
        return True
    rows = (service.get("status") or {}).get("conditions") or ()
    kind = reasons.Condition.RUNTIME_AVAILABLE
    return not any(row.get("type") == kind and row.get("status") == "True" for row in rows)
