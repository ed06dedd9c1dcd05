"""Under which addresses a service and its models answer (contract §2.9); used by `reconcile`."""

import functools
import re

import jinja2
from jinja2 import sandbox

from shoal import names
from shoal.api.inferenceservices import InferenceService
from shoal.api.settings import ServingConfig
from shoal.desired import containers
from shoal.errors import StalledError
from shoal.reasons import Reason

V1 = "v1"
V2 = "v2"

_PROTOCOL_ENV = "PROTOCOL"
_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_INDEX = re.compile(r'\bindex\s+\.(\w+)\s+"([^"]*)"')
_FIELD = re.compile(r"(?<![\w)\].\"'])\.(?=[A-Za-z])")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})+\Z")
_ENVIRONMENT = sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # the result is a host name, checked below; not HTML
)


def host(config: ServingConfig, name: str, service: InferenceService, domain: str = "") -> str:
    """Make the host of `name`, in another domain than the usual where one is given.

    `name` is the InferenceService's own or that of a component object.

    The configured template is Go's or Jinja's: `{{ .Name }}` and `{{ Name }}` are the same,
    and so are `{{ index .Annotations "a/b" }}` and `{{ Annotations["a/b"] }}`.

    Raises:
        StalledError: the template is wrong for this service, or gives no host name.
    """
    metadata = service.metadata
    try:
        text = _compiled(config.ingress.domain_template).render(
            Name=name,
            Namespace=metadata.namespace,
            IngressDomain=domain or config.ingress.ingress_domain,
            Annotations=metadata.annotations,
            Labels=metadata.labels,
        )
    except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError) as error:
        raise _refused(str(error)) from error
    if not _HOST.match(text):
        raise _refused(f'it gives "{text}", which is no fully qualified host name')
    return text


def url(config: ServingConfig, service: InferenceService) -> str:
    """Make the URL at which the service answers from outside."""
    return f"{config.ingress.url_scheme}://{host(config, service.metadata.name, service)}"


def component_url(config: ServingConfig, service: InferenceService) -> str:
    """Make the URL of the predictor alone; upstream's scheme is always http."""
    return f"http://{host(config, _predictor(service), service)}"


def address(config: ServingConfig, service: InferenceService) -> str:
    """Make the URL at which the service answers from inside the cluster."""
    namespace = service.metadata.namespace
    return f"http://{_predictor(service)}.{namespace}.svc.{config.cluster_domain}"


def protocol(service: InferenceService) -> str:
    """Tell which protocol the user's container speaks: v2 unless PROTOCOL says v1 (W1)."""
    users = service.spec.predictor.containers
    env = (users[containers.server_index(users)].get("env") or []) if users else []
    values = [row.get("value") for row in env if row.get("name") == _PROTOCOL_ENV]
    return V1 if values[-1:] == [V1] else V2


def model_path(name: str, protocol: str) -> str:
    """Make the path under which a model answers."""
    if protocol == V1:
        return f"/v1/models/{name}:predict"
    return f"/v2/models/{name}/infer"


def _predictor(service: InferenceService) -> str:
    return names.predictor(service.metadata.name, service.spec.predictor.name)


@functools.lru_cache(maxsize=8)
def _compiled(template: str) -> jinja2.Template:
    """Compile once what every service renders."""
    return _ENVIRONMENT.from_string(_jinja(template))


def _jinja(template: str) -> str:
    """Turn Go's spelling into Jinja's, inside of {{ }} only."""
    return _ACTION.sub(
        lambda action: _FIELD.sub("", _INDEX.sub(r'\1["\2"]', action.group())), template
    )


def _refused(why: str) -> StalledError:
    return StalledError(
        Reason.CONFIG_INVALID,
        f"ConfigMap {names.OPERATOR_CONFIG}, key ingress, field domainTemplate: {why}",
    )
