"""The predictor's Deployment (contract §2.4, §2.5), composed from containers and what is added."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from shoal.desired import autoscalers, containers, initcontainers, metadata, records, sidecars
from shoal.desired.records import Record
from shoal.desired.wanted import Wanted

_POD_DEFAULTS: Final[Mapping[str, Any]] = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
    "securityContext": {},
}
_SHARE: Final = "25%"
# A pod without an agent serves none of the models: on a full cluster it gives way to one that
# does, or the rollout would wait for ever.
_IN_PLACE: Final[Mapping[str, Any]] = {
    "type": "RollingUpdate",
    "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
}


def make(wanted: Wanted) -> dict[str, Any]:
    """Make the Deployment.

    The pod template depends on the spec, its runtime, the config and being a host, and on what
    is recorded: neither models nor another release of the operator roll a pod.

    Raises:
        StalledError: the containers are unfit, or the autoscaler class is unknown.
    """
    record = make_record(wanted)
    pin = wanted.server.pin
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata.make(
            wanted,
            wanted.predictor,
            labels=metadata.component_labels(wanted),
            annotations={
                **metadata.component_annotations(wanted),
                # Here alone: in the pod template these would roll pods for nothing.
                **(pin.encode() if pin else {}),
                **record.encode(),
            },
        ),
        "spec": {
            **_replicas(wanted),
            "selector": {"matchLabels": metadata.selector(wanted)},
            "strategy": _strategy(wanted),
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "template": _template(wanted, record),
        },
    }


def make_record(wanted: Wanted) -> Record:
    """Make the record of the template that is to be, over that of the one that is.

    Raises:
        StalledError: as `make`.
    """
    fresh = Record(
        template=records.digest(_template(wanted, records.NOTHING)),
        predictor=wanted.predictor_digest,
        source=wanted.source_digest,
        host=wanted.is_host,
        storage_container=wanted.storage.name,
        image=wanted.config.own_image,
        labels=metadata.allowed_labels(wanted, wanted.service.metadata.labels),
        annotations=metadata.object_annotations(wanted),
    )
    return records.keep(wanted.deployment, fresh)


def behind(wanted: Wanted, deployment: Mapping[str, Any]) -> list[str]:
    """List the service's labels and annotations that a Deployment's pods have otherwise."""
    record = records.decode(deployment)
    if record is None:
        return []
    labels, annotations = metadata.component_labels, metadata.component_annotations
    pairs = (
        (labels(wanted, record.labels), labels(wanted)),
        (annotations(wanted, record.annotations), annotations(wanted)),
    )
    return sorted(key for pair in pairs for key in records.differing(*pair))


def _template(wanted: Wanted, record: Record) -> dict[str, Any]:
    labels = metadata.component_labels(wanted, record.labels)
    annotations = metadata.component_annotations(wanted, record.annotations)
    meta = {"labels": labels} | ({"annotations": annotations} if annotations else {})
    config = wanted.config.with_own_image(record.image)
    return {"metadata": meta, "spec": _pod(replace(wanted, config=config))}


def _pod(wanted: Wanted) -> dict[str, Any]:
    pod = {
        **_POD_DEFAULTS,
        **wanted.server.pod,
        "containers": containers.make(wanted.server, wanted.name, wanted.config),
    }
    if wanted.is_host:
        return sidecars.inject(wanted, pod)
    return initcontainers.inject(wanted, pod) if initcontainers.has_models(wanted) else pod


def _replicas(wanted: Wanted) -> dict[str, int]:
    """An autoscaler, ours or theirs, owns the number unless the class is `none`."""
    replicas = wanted.service.spec.predictor.min_replicas
    if replicas is None or autoscalers.class_of(wanted) != autoscalers.NONE:
        return {}
    return {"replicas": replicas}


def _strategy(wanted: Wanted) -> Mapping[str, Any]:
    given: Mapping[str, Any] | None = wanted.service.spec.predictor.deployment_strategy
    if given:
        return given
    if wanted.make_room:
        return _IN_PLACE
    deploy = wanted.config.deploy
    rolling = {
        "maxSurge": _int_or_share(deploy.max_surge or _SHARE),
        "maxUnavailable": _int_or_share(deploy.max_unavailable or _SHARE),
    }
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def _int_or_share(text: str) -> int | str:
    """The API server wants a number as a number; upstream's is always a string (C29)."""
    return int(text) if text.isdecimal() else text
