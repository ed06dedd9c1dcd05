"""Schemas of core/v1, apps/v1 and autoscaling/v2 parts, from the Kubernetes client's models.

Called by `crds` only: the models cost tens of MiB, so they are imported by the first call and
never in a running operator. What the models lost is restored here: quantities may be numbers,
lists of named things are maps, PYTHONPATH is refused (contract §6.2).
"""

import functools
from typing import Any, Final

from shoal.api import podspecs, schemas
from shoal.api.fields import QUANTITY_SCHEMA, VALIDATIONS, Rule
from shoal.api.schemas import Schema

# Far above what a pod can have; the API server needs a bound to estimate the cost of CEL rules.
MAX_CONTAINERS: Final = 64
MAX_ENV: Final = 1024
MAX_NAME: Final = 63

_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_RUNTIME_FIELDS: Final = frozenset(
    {
        "affinity",
        "containers",
        "hostIPC",
        "imagePullSecrets",
        "nodeSelector",
        "resourceClaims",
        "schedulerName",
        "tolerations",
        "volumes",
    }
)
_PYTHONPATH: Final = "!has(self.env) || self.env.all(e, e.name != 'PYTHONPATH')"
_NO_PYTHONPATH: Final = Rule(
    _PYTHONPATH,
    "setting PYTHONPATH in a container is not allowed for security reasons",
    dynamic="'setting PYTHONPATH in container \"' + self.name "
    "+ '\" is not allowed for security reasons'",
)
_NO_PYTHONPATH_IN_FRAMEWORK: Final = Rule(
    _PYTHONPATH,
    'setting PYTHONPATH in container "kserve-container" is not allowed for security reasons',
)
_MAP_KEYS: Final = {
    "V1PodSpec.containers": ["name"],
    "V1PodSpec.initContainers": ["name"],
    "V1PodSpec.volumes": ["name"],
    "V1PodSpec.imagePullSecrets": ["name"],
    "V1PodSpec.hostAliases": ["ip"],
    "V1PodSpec.resourceClaims": ["name"],
    "V1PodSpec.schedulingGates": ["name"],
    "V1PodSpec.topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
    "V1Container.env": ["name"],
    "V1Container.ports": ["containerPort", "protocol"],
    "V1Container.volumeMounts": ["mountPath"],
    "V1Container.volumeDevices": ["devicePath"],
    "V1ResourceRequirements.claims": ["name"],
}
_BOUNDS: Final = {
    "V1PodSpec.containers": MAX_CONTAINERS,
    "V1PodSpec.initContainers": MAX_CONTAINERS,
    "V1Container.env": MAX_ENV,
}
_QUANTITY_MAPS: Final = (
    "V1PodSpec.overhead",
    "V1ResourceRequirements.limits",
    "V1ResourceRequirements.requests",
    "V1VolumeResourceRequirements.limits",
    "V1VolumeResourceRequirements.requests",
)
_QUANTITIES: Final = ("V1EmptyDirVolumeSource.sizeLimit", "V1ResourceFieldSelector.divisor")
_ATOMIC: Final = ("V1PodSpec.nodeSelector",)
# Of an embedded template's metadata, what a user may set.
_TEMPLATE_METADATA: Final = {
    "type": "object",
    "properties": {
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "name": {"type": "string"},
        "namespace": {"type": "string"},
    },
}


def fill(node: Any) -> Any:  # noqa: ANN401 - a schema is nested JSON
    """Put Kubernetes' schemas where our types only name them."""
    if isinstance(node, list):
        return [fill(item) for item in node]
    if not isinstance(node, dict):
        return node
    if model := node.get(podspecs.KUBERNETES):
        beside = {key: value for key, value in node.items() if key != podspecs.KUBERNETES}
        return {**named(model), **beside}
    out = {key: fill(value) for key, value in node.items() if key != podspecs.INLINE}
    if inline := node.get(podspecs.INLINE):
        out["properties"] = {**_inlined(inline), **out["properties"]}
        # Every field is known now; the type allowed others only to carry these.
        del out[_PRESERVE]
        if inline == podspecs.CONTAINER:
            rule = _NO_PYTHONPATH_IN_FRAMEWORK.encode()
            out[VALIDATIONS] = [*out.get(VALIDATIONS, []), rule]
    return out


@functools.cache
def named(model: str) -> Schema:
    """Make the schema of a model of the Kubernetes client, without descriptions."""
    if model == podspecs.ENVIRONMENT:
        environment: Schema = named("V1Container")["properties"]["env"]
        return environment
    from kubernetes.client import models  # noqa: PLC0415 - see the module's docstring

    kind = getattr(models, model)
    present = {model, *kind.model_json_schema().get("$defs", {})}
    patches = {
        place: patch for place, patch in _patches().items() if place.split(".")[0] in present
    }
    schema = schemas.make(kind, patches=patches)
    if model == "V1PodSpec":
        _restrain(schema)
    bare: Schema = _undescribed(schema)
    return bare


def _inlined(which: str) -> Schema:
    if which == podspecs.CONTAINER:
        properties: Schema = named("V1Container")["properties"]
        return properties
    fields = podspecs.POD_FIELDS if which == podspecs.COMPONENT_POD else _RUNTIME_FIELDS
    properties = named("V1PodSpec")["properties"]
    return {name: properties[name] for name in sorted(fields)}


def _restrain(pod: Schema) -> None:
    for field in ("containers", "initContainers"):
        container = pod["properties"][field]["items"]
        container["properties"]["name"]["maxLength"] = MAX_NAME
        container[VALIDATIONS] = [_NO_PYTHONPATH.encode()]
    secrets = pod["properties"]["imagePullSecrets"]["items"]
    secrets["properties"]["name"]["default"] = ""


def _patches() -> dict[str, Schema]:
    patches: dict[str, Schema] = {}
    for place, keys in _MAP_KEYS.items():
        patches[place] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}
    for place, bound in _BOUNDS.items():
        patches[place]["maxItems"] = bound
    for place in _QUANTITY_MAPS:
        patches[place] = {"additionalProperties": QUANTITY_SCHEMA}
    for place in _QUANTITIES:
        patches[place] = {"type": None, **QUANTITY_SCHEMA}
    for place in _ATOMIC:
        patches[place] = {"x-kubernetes-map-type": "atomic"}
    patches["V1ContainerPort.protocol"] = {"default": "TCP"}
    patches["V1PersistentVolumeClaimTemplate.metadata"] = {
        "$ref": None,
        **_TEMPLATE_METADATA,
    }
    return patches


def _undescribed(node: Any, *, names: bool = False) -> Any:  # noqa: ANN401 - nested JSON
    """Leave out the descriptions; `names` says that the keys are fields' names."""
    if isinstance(node, list):
        return [_undescribed(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _undescribed(value, names=key == "properties" and not names)
        for key, value in node.items()
        if names or key != "description"
    }
