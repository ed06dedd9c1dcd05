import pytest

from shoal.api import servingruntimes
from shoal.errors import StalledError
from support import builders


def test_a_runtime_is_read() -> None:
    body = builders.serving_runtime(
        "sklearn", name="mine", namespace="ns", nodeSelector={"a": "b"}
    )
    runtime = servingruntimes.parse(body)
    assert (runtime.title, runtime.is_clusters) == ("ServingRuntime mine", False)
    assert runtime.spec.pod == {
        "containers": body["spec"]["containers"],
        "nodeSelector": {"a": "b"},
    }
    assert servingruntimes.parse(builders.serving_runtime("sklearn")).is_clusters


@pytest.mark.parametrize(
    ("name", "annotations", "expected"),
    [
        ("kserve-tritonserver", {}, "tritonserver"),
        ("kserve-mlserver", {"serving.kserve.io/server-type": "mine"}, "mine"),
        ("kserve-sklearnserver", {}, ""),
        ("mlserver", {}, ""),
    ],
    ids=["by-name", "by-annotation", "unknown", "not-upstreams-name"],
)
def test_server_type(name: str, annotations: dict[str, str], expected: str) -> None:
    given = {"name": name, "metadata": {"annotations": annotations}}
    assert builders.runtime("sklearn", **given).server_type == expected


def test_what_cannot_be_read_is_told_by_its_path() -> None:
    body = builders.serving_runtime("sklearn", name="mine", disabled="yes")
    with pytest.raises(StalledError, match=r"^ClusterServingRuntime mine: spec\.disabled: "):
        servingruntimes.parse(body)
