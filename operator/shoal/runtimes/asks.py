"""What a predictor's framework key, or `model`, asks of a runtime (contract §3.1).

The old keys are read as `model` with that format; nothing is written back.
"""

from dataclasses import dataclass
from typing import Final

from shoal.api.predictors import ModelSpec, Predictor, PredictorExtensionSpec
from shoal.errors import StalledError
from shoal.reasons import Reason

V2: Final = "v2"
# Formats whose servers speak nothing older.
_V2_KEYS: Final = frozenset({"triton", "onnx", "huggingface"})
_V2_FORMATS: Final = frozenset({"triton", "vLLM"})
# Their servers load one model, also one that their arguments name: no storage is no host of many.
_ONE_MODEL: Final = frozenset({"huggingface", "vLLM"})


@dataclass(frozen=True, slots=True)
class Ask:
    """A model format that wants a runtime.

    `path` is the field, for messages; `version`, `runtime` and `protocol` are empty where the
    user leaves the choice; `spans_nodes` tells that there is a workerSpec, `is_host` that the
    server begins empty, because many models are to be loaded into it.
    """

    path: str
    format: str
    spec: PredictorExtensionSpec
    version: str = ""
    runtime: str = ""
    protocol: str = ""
    spans_nodes: bool = False
    is_host: bool = False

    @property
    def text(self) -> str:
        """Say what is asked for, for messages."""
        words = [f"format {self.format}"]
        words += [f"version {self.version}"] if self.version else []
        words += [f"protocol {self.protocol}"] if self.protocol else []
        return ", ".join(words)


def of(predictor: Predictor) -> Ask | None:
    """Read what a predictor asks for; None where it brings containers of its own.

    Raises:
        StalledError: `model` names no format.
    """
    for key, spec in predictor.framework_specs().items():
        path = f"spec.predictor.{key}"
        if isinstance(spec, ModelSpec):
            return _of_model(predictor, spec, path)
        return Ask(
            path=path,
            format=key,
            spec=spec,
            protocol=spec.protocol or (V2 if key in _V2_KEYS else ""),
            spans_nodes=predictor.worker_spec is not None,
            is_host=_is_host(predictor, key),
        )
    return None


def _of_model(predictor: Predictor, spec: ModelSpec, path: str) -> Ask:
    given = spec.model_format
    if given is None or not given.name:
        raise StalledError(
            Reason.INVALID_PREDICTOR_SPEC,
            f"{path}.modelFormat.name: there is none; name the model's format, such as sklearn",
        )
    return Ask(
        path=path,
        format=given.name,
        spec=spec,
        version=given.version or "",
        runtime=spec.runtime or "",
        protocol=spec.protocol or (V2 if given.name in _V2_FORMATS else ""),
        spans_nodes=predictor.worker_spec is not None,
        is_host=_is_host(predictor, given.name),
    )


def _is_host(predictor: Predictor, format_: str) -> bool:
    """Tell whether nothing says what to load at the start (contract §5.1)."""
    return not predictor.has_storage and format_ not in _ONE_MODEL
