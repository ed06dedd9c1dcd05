"""The CEL rules of the InferenceService CRD (contract §6.2), with upstream's messages.

Each is written so that the API server's cost estimate stays low; the limits on lists that this
needs are far above what anybody uses.
"""

from typing import Final

from shoal.api.fields import NAME_PATTERN, Rule

MAX_CANARIES: Final = 8
MIN_REPLICAS: Final = "'MinReplicas' cannot be less than 0"
MAX_REPLICAS: Final = "'MaxReplicas' cannot be less than 0"
MIN_ABOVE_MAX: Final = "'MinReplicas' cannot be greater than MaxReplicas"
BOTH_STORAGES: Final = "Setting both StorageURI and StorageURIs is not supported."

KEYS: Final = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml",
    "lightgbm", "paddle", "model",
)  # fmt: skip
ONE_PREDICTOR: Final = (
    f"exactly one of [{', '.join(KEYS)}, containers] must be specified in PredictorSpec"
)
# A label value may have 63 characters; `app: isvc.<service>-predictor` is the longest we make.
_LABEL: Final = 63
_PREDICTOR_ROOM: Final = _LABEL - len("isvc.-predictor")
_NAMED_ROOM: Final = _PREDICTOR_ROOM - len("-")
_TRANSFORMER_ROOM: Final = _LABEL - len("isvc.-transformer")


def _any_of(condition: str) -> str:
    return " || ".join(condition.format(key=key) for key in KEYS)


_GIVEN: Final = "[" + ", ".join(f"has(self.{key})" for key in KEYS) + "].filter(x, x).size()"
_OWN: Final = "(has(self.containers) && self.containers.exists(c, c.name == 'kserve-container'))"


def _text(path: str) -> str:
    """Write the CEL expression for a string that may be absent from an object that is there."""
    return f"(has({path}) ? {path} : '')"


def _storage_uri(predictor: str, key: str) -> str:
    path = f"{predictor}.{key}"
    return f"(has({path}) && has({path}.storageUri) ? {path}.storageUri : '')"


_NAME: Final = _text("self.predictor.name")
_STORAGE_CHANGED: Final = " || ".join(
    f"{_storage_uri('self.predictor', key)} != {_storage_uri('oldSelf.predictor', key)}"
    for key in KEYS
)

REPLICAS: Final = Rule(
    "!has(self.minReplicas) || !has(self.maxReplicas) || self.maxReplicas == 0"
    " || self.minReplicas <= self.maxReplicas",
    MIN_ABOVE_MAX,
)

PREDICTOR: Final = (
    REPLICAS,
    Rule(
        f"{_GIVEN} + ({_OWN} ? 1 : 0) == 1"
        f" || ({_GIVEN} == 0 && has(self.containers) && self.containers.size() > 0)",
        ONE_PREDICTOR,
    ),
    Rule(
        "!has(self.storageUris)"
        f" || !({_any_of('(has(self.{key}) && has(self.{key}.storageUri))')})",
        BOTH_STORAGES,
    ),
    Rule(
        "!has(self.containers) || self.containers.all(c, c.name != 'transformer-container'"
        " || !has(c.env) || c.env.all(e, e.name != 'STORAGE_URI'))",
        "storage uri should not be specified in transformer container",
    ),
    Rule(
        "!has(self.containers) || self.containers.all(c, c.name != 'kserve-container'"
        " || !has(c.env) || c.env.all(e, e.name != 'PROTOCOL' || !has(e.value)"
        " || e.value == 'v1' || e.value == 'v2'))",
        "invalid protocol. Must be one of [v1, v2]",
    ),
)
TRANSFORMER: Final = (
    REPLICAS,
    Rule(
        "has(self.containers) && self.containers.size() > 0",
        "exactly one of [containers] must be specified in TransformerSpec",
    ),
)
EXPLAINER: Final = (
    REPLICAS,
    Rule(
        "has(self.art) != (has(self.containers) && self.containers.size() > 0)",
        "exactly one of [art, containers] must be specified in ExplainerSpec",
    ),
    Rule("!has(self.storageUris) || !has(self.art) || !has(self.art.storageUri)", BOTH_STORAGES),
)

_CANARY_FORBIDS: Final = ("workerSpec", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")
CANARIES: Final = (
    Rule(
        "self.all(c, has(c.predictor.name) && c.predictor.name != '')",
        "each canary needs a predictor.name",
    ),
    Rule(
        f"self.all(c, self.exists_one(d, {_text('d.predictor.name')}"
        f" == {_text('c.predictor.name')}))",
        "the names of canaries must be unique",
    ),
    Rule(
        "self.all(c, c.trafficPercent >= 0 && c.trafficPercent <= 100)",
        "trafficPercent of a canary must be between 0 and 100",
    ),
    Rule(
        "self.map(c, c.trafficPercent).sum() <= 100",
        "the sum of trafficPercent of all canaries cannot be greater than 100",
    ),
    *(
        Rule(f"self.all(c, !has(c.predictor.{field}))", f"a canary cannot have {field}")
        for field in _CANARY_FORBIDS
    ),
)

SPEC: Final = (
    Rule(
        f"!has(self.canary) || self.canary.all(c, {_text('c.predictor.name')} != {_NAME})",
        "the name of a canary must differ from the stable predictor's",
    ),
    Rule(
        "!has(self.canary) || self.canary.size() == 0 || has(self.predictor.model)"
        f" || {_any_of('has(self.predictor.{key})')}",
        "a canary needs a stable predictor with a storageUri or a model",
    ),
    Rule(
        "!has(self.canary) || self.canary.all(c, c.predictor.?minReplicas.orValue(0)"
        " <= self.predictor.?minReplicas.orValue(1))",
        "minReplicas of a canary cannot be greater than the stable predictor's",
    ),
    Rule(
        f"{_NAME} == {_text('oldSelf.predictor.name')} || {_STORAGE_CHANGED}",
        "predictor.name change requires a model change (e.g. storageUri)",
    ),
)

_PART: Final = _text("self.spec.predictor.name")
_OLD_PART: Final = _text("oldSelf.value().spec.predictor.name")
_LENGTH: Final = f"self.metadata.name.size() + {_PART}.size()"
ROOT: Final = (
    Rule(
        f"oldSelf.hasValue() || self.metadata.name.matches('{NAME_PATTERN}')",
        "a InferenceService name must consist of lower case alphanumeric characters or '-', and "
        'must start with alphabetical character. (e.g. "my-name" or "abc-123", regex used for '
        "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        optional_old_self=True,
    ),
    Rule(
        f"(oldSelf.hasValue() && {_OLD_PART} == {_PART}) || {_LENGTH}"
        f" <= ({_PART} == '' ? {_PREDICTOR_ROOM} : {_NAMED_ROOM})",
        f"the name may have at most {_PREDICTOR_ROOM} characters, with predictor.name both "
        f"together {_NAMED_ROOM}: a label of the pods, isvc.<name>-predictor, may have {_LABEL}",
        optional_old_self=True,
    ),
    Rule(
        "(oldSelf.hasValue() && has(oldSelf.value().spec.transformer))"
        " || !has(self.spec.transformer)"
        f" || self.metadata.name.size() <= {_TRANSFORMER_ROOM}",
        f"with a transformer the name may have at most {_TRANSFORMER_ROOM} characters: a label "
        f"of the pods, isvc.<name>-transformer, may have {_LABEL}",
        optional_old_self=True,
    ),
)
