"""The Ingress of an InferenceService (contract §2.8.1)."""

from typing import Any, Final

from shoal import names
from shoal.desired import metadata, urls
from shoal.desired.wanted import Wanted

_LOCAL_DOMAIN: Final = "svc.cluster.local"


def is_wanted(wanted: Wanted) -> bool:
    """Tell whether the service is to be reachable from outside."""
    ingress = wanted.config.ingress
    return not (
        ingress.disable_ingress_creation
        or ingress.ingress_domain == _LOCAL_DOMAIN
        or urls.is_local(wanted.service)
    )


def make(wanted: Wanted) -> dict[str, Any]:
    """Make the Ingress: the service's hosts and the predictor's, all to the predictor.

    The service has one host per domain, the predictor one in the first. Without a class of
    its own the cluster's default class takes it.

    Raises:
        StalledError: the domain template gives no host name.
    """
    class_name = wanted.config.ingress.ingress_class_name
    own, predictor = (wanted.name, ""), (wanted.predictor, "")
    others = [(wanted.name, domain) for domain in wanted.config.ingress.additional_ingress_domains]
    hosts = [
        urls.host(wanted.config, name, wanted.service, domain)
        for name, domain in (own, predictor, *others)
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata.make(
            wanted,
            names.ingress(wanted.name),
            labels=metadata.object_labels(wanted),
            annotations=metadata.object_annotations(wanted),
        ),
        "spec": {
            **({"ingressClassName": class_name} if class_name else {}),
            "rules": [_rule(wanted, host) for host in dict.fromkeys(hosts)],
        },
    }


def _rule(wanted: Wanted, host: str) -> dict[str, Any]:
    backend = {"service": {"name": wanted.predictor, "port": {"number": names.SERVICE_PORT}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {"host": host, "http": {"paths": [path]}}
