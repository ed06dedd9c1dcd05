"""Labels, annotations and owner of the children (contract §2.3, §10.5).

Used by every module that makes a child. The component's labels and annotations are on its
Deployment, pods, Service and HPA alike, because others select and configure by them.
"""

from collections.abc import Mapping
from typing import Any, Final

from shoal import names
from shoal.desired.wanted import Wanted

_PREDICTOR: Final = "predictor"


def make(
    wanted: Wanted, name: str, *, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Make the metadata of a child; without annotations the key is left out."""
    metadata = {
        "name": name,
        "namespace": wanted.namespace,
        "labels": dict(labels),
        "ownerReferences": [_owner(wanted)],
    }
    return metadata | ({"annotations": dict(annotations)} if annotations else {})


def make_component(wanted: Wanted) -> dict[str, Any]:
    """Make the metadata of the predictor's Service and of what scales it."""
    return make(
        wanted,
        wanted.predictor,
        labels=component_labels(wanted),
        annotations=component_annotations(wanted),
    )


def object_labels(wanted: Wanted) -> dict[str, str]:
    """Make the labels of a child that belongs to no component."""
    own = allowed_labels(wanted, wanted.service.metadata.labels)
    return {**own, names.INFERENCE_SERVICE_LABEL: wanted.name}


def component_labels(wanted: Wanted, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make the labels of the predictor's objects and pods; later ones win.

    `own` are the InferenceService's labels where they are not those that it has now.
    """
    service = wanted.service.metadata.labels if own is None else own
    given = {**wanted.server.labels, **service, **wanted.service.spec.predictor.labels}
    return {
        **allowed_labels(wanted, given),
        names.INFERENCE_SERVICE_LABEL: wanted.name,
        names.COMPONENT_LABEL: _PREDICTOR,
        **selector(wanted),
    }


def selector(wanted: Wanted) -> dict[str, str]:
    """Make the selector of the predictor's pods; it can never change."""
    return {names.APP_LABEL: names.app(wanted.predictor)}


def object_annotations(wanted: Wanted) -> dict[str, str]:
    """Copy the InferenceService's annotations, without the disallowed ones."""
    return _allowed(wanted, wanted.service.metadata.annotations)


def component_annotations(wanted: Wanted, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make the annotations of the predictor's objects and pods; `own` and order are as above."""
    return {
        **_allowed(wanted, wanted.server.annotations),
        **(object_annotations(wanted) if own is None else own),
        **_agent(wanted),
        **_allowed(wanted, wanted.service.spec.predictor.annotations),
    }


def allowed_labels(wanted: Wanted, labels: Mapping[str, str]) -> dict[str, str]:
    """Leave out what the config disallows."""
    disallowed = wanted.config.inference_service.service_label_disallowed_list
    return {key: value for key, value in labels.items() if key not in disallowed}


def _allowed(wanted: Wanted, annotations: Mapping[str, str]) -> dict[str, str]:
    """Leave out what the config disallows; its list always begins with upstream's (C32)."""
    disallowed = wanted.config.inference_service.service_annotation_disallowed_list
    return {key: value for key, value in annotations.items() if key not in disallowed}


def _agent(wanted: Wanted) -> dict[str, str]:
    if not wanted.is_host:
        return {}
    return {
        names.AGENT_ANNOTATION: "true",
        names.CONFIG_VOLUME_ANNOTATION: names.model_config(wanted.name),
        names.CONFIG_MOUNT_ANNOTATION: names.MODEL_CONFIG_DIR,
        names.MODEL_DIR_ANNOTATION: names.MODEL_DIR,
    }


def _owner(wanted: Wanted) -> dict[str, Any]:
    return {
        "apiVersion": names.INFERENCE_SERVICE_VERSION,
        "kind": names.INFERENCE_SERVICE_KIND,
        "name": wanted.name,
        "uid": wanted.service.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
