"""Under which addresses a service and its models answer (contract §2.9); used by `reconcile`."""

import re

import jinja2

from shoal import names
from shoal.api.inferenceservices import InferenceService
from shoal.api.settings import ServingConfig
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import placeholders, servers

_CLUSTER_LOCAL = "cluster-local"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})+\Z")


def host(config: ServingConfig, name: str, service: InferenceService, domain: str = "") -> str:
    """Make the host of `name`, in another domain than the usual where one is given.

    `name` is the InferenceService's own or that of a component object.

    The configured template is Go's or Jinja's (`placeholders`).

    Raises:
        StalledError: the template is wrong for this service, or gives no host name.
    """
    metadata = service.metadata
    values = {
        "Name": name,
        "Namespace": metadata.namespace,
        "IngressDomain": domain or config.ingress.ingress_domain,
        "Annotations": metadata.annotations,
        "Labels": metadata.labels,
    }
    try:
        text = placeholders.render(config.ingress.domain_template, values)
    except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError) as error:
        raise _refused(str(error)) from error
    if not _HOST.match(text):
        raise _refused(f'it gives "{text}", which is no fully qualified host name')
    return text


def is_local(service: InferenceService) -> bool:
    """Tell whether the service is, by its label, to be reached from inside the cluster alone."""
    return service.metadata.labels.get(names.VISIBILITY_LABEL) == _CLUSTER_LOCAL


def url(config: ServingConfig, service: InferenceService, port: int = 0) -> str:
    """Make the URL at which the service answers: its address where nobody outside is to ask."""
    if is_local(service):
        return address(config, service, port)
    return f"{config.ingress.url_scheme}://{host(config, service.metadata.name, service)}"


def component_url(config: ServingConfig, service: InferenceService, port: int = 0) -> str:
    """Make the URL of the predictor alone; upstream's scheme is always http."""
    if is_local(service):
        return address(config, service, port)
    return f"http://{host(config, _predictor(service), service)}"


def address(config: ServingConfig, service: InferenceService, port: int = 0) -> str:
    """Make the URL at which the service answers from inside the cluster.

    `port` is the server's own, which counts where the Service is headless.
    """
    host = f"{_predictor(service)}.{service.metadata.namespace}.svc.{config.cluster_domain}"
    return f"http://{host}:{port}" if port and config.service.headless else f"http://{host}"


def model_path(name: str, protocol: str) -> str:
    """Make the path under which a model answers; gRPC has none."""
    if protocol == servers.V1:
        return f"/v1/models/{name}:predict"
    return f"/v2/models/{name}/infer" if protocol == servers.V2 else ""


def _predictor(service: InferenceService) -> str:
    return names.predictor(service.metadata.name, service.spec.predictor.name)


def _refused(why: str) -> StalledError:
    return StalledError(
        Reason.CONFIG_INVALID,
        f"ConfigMap {names.OPERATOR_CONFIG}, key ingress, field domainTemplate: {why}",
    )
