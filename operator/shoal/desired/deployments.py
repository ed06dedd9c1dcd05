"""The predictor's Deployment (contract §2.4, §2.5), composed from containers and what is added."""

from collections.abc import Mapping
from typing import Any, Final

from shoal.desired import autoscalers, containers, initcontainers, metadata, sidecars
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

    The pod template depends on the spec, its runtime, the config and being a host alone:
    models come and go without a pod being rolled.

    Raises:
        StalledError: the containers are unfit, or the autoscaler class is unknown.
    """
    labels = metadata.component_labels(wanted)
    annotations = metadata.component_annotations(wanted)
    template = {"labels": labels} | ({"annotations": annotations} if annotations else {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata.make(
            wanted, wanted.predictor, labels=labels, annotations={**annotations, **_record(wanted)}
        ),
        "spec": {
            **_replicas(wanted),
            "selector": {"matchLabels": metadata.selector(wanted)},
            "strategy": _strategy(wanted),
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "template": {"metadata": template, "spec": _pod(wanted)},
        },
    }


def _record(wanted: Wanted) -> dict[str, str]:
    """Record the runtime here alone: in the pod template it would roll pods for nothing."""
    pin = wanted.server.pin
    return pin.encode() if pin else {}


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
