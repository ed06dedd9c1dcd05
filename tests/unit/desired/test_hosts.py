import pytest

from shoal.api import inferenceservices
from shoal.desired import hosts
from support import builders
from support.builders import Body

MARKED = [builders.container(env=[{"name": "MULTI_MODEL_SERVER", "value": "true"}])]
MARKED_FALSE = [builders.container(env=[{"name": "MULTI_MODEL_SERVER", "value": "True"}])]
SIDECAR_MARKED = [
    builders.container("side", env=[{"name": "MULTI_MODEL_SERVER", "value": "true"}]),
    builders.container(),
]
WITH_STORAGE = [builders.container(env=[{"name": "STORAGE_URI", "value": "s3://b/m"}])]


@pytest.mark.parametrize(
    ("containers", "named", "already", "expected"),
    [
        pytest.param(None, False, False, False, id="nothing-says-so"),
        pytest.param(None, True, False, True, id="a-model-names-it"),
        pytest.param(None, False, True, True, id="stays-one-after-its-last-model"),
        pytest.param(MARKED, False, False, True, id="marked-by-upstreams-variable"),
        pytest.param(MARKED_FALSE, False, False, False, id="only-the-exact-value-marks"),
        pytest.param(SIDECAR_MARKED, False, False, False, id="only-the-server-is-asked"),
        pytest.param(WITH_STORAGE, True, True, False, id="storage-of-its-own-never-is"),
    ],
)
def test_is_host(
    containers: list[Body] | None, *, named: bool, already: bool, expected: bool
) -> None:
    service = inferenceservices.parse(builders.inference_service(containers=containers))
    server = builders.server(service)
    assert hosts.is_host(service, server, named_by_model=named, already=already) is expected


def test_a_framework_without_storage_is_one_before_any_model_names_it() -> None:
    service = inferenceservices.parse(builders.framework("sklearn"))
    server = builders.server(service, builders.runtime("sklearn"))
    assert hosts.is_host(service, server, named_by_model=False, already=False)


def test_a_server_that_holds_one_model_is_none_whoever_names_it() -> None:
    service = inferenceservices.parse(builders.framework("huggingface"))
    server = builders.server(service, builders.runtime("huggingface"))
    assert not hosts.is_host(service, server, named_by_model=True, already=True)
