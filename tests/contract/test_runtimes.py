"""The chart's ClusterServingRuntimes are what the API accepts and what the operator chooses."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from contract.conftest import CHECKOUT, Render
from shoal.api import crds, inferenceservices, servingruntimes
from shoal.runtimes import servers
from shoal.settings import OperatorSettings
from support import builders, manifests

KIND = "ClusterServingRuntime"
ALL = {"runtimes": {"custom": {"image": "localhost/mine:1"}}}
OURS = {"mlserver", "triton", "kserveSdk"}
KSERVES = {
    "sklearnserver": "kserve/sklearnserver:latest",
    "xgbserver": "kserve/xgbserver:latest",
    "lgbserver": "kserve/lgbserver:latest",
    "pmmlserver": "kserve/pmmlserver:latest",
    "paddleserver": "kserve/paddleserver:latest",
    "predictiveserver": "kserve/predictiveserver:latest",
    "autogluonserver": "kserve/autogluonserver:latest",
    "tensorflowServing": "tensorflow/serving:2.6.2",
    "torchserve": "pytorch/torchserve-kfs:0.9.0",
    "huggingfaceserver": "kserve/huggingfaceserver:latest",
    "vllmserver": "vllm/vllm-openai:latest",
}
UPSTREAMS = CHECKOUT / "tests" / "integration" / "data" / "runtimes.yaml"


def of_chart(render: Render, values: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    config = [body for body in render(values) if body["metadata"]["name"] == "shoal-runtimes"]
    return _read(config[0]["data"]) if config else {}


def _read(data: dict[str, str]) -> dict[str, dict[str, Any]]:
    made = {name.removesuffix(".json"): json.loads(text) for name, text in data.items()}
    assert [body["metadata"]["name"] for body in made.values()] == list(made)
    return made


def schema() -> dict[str, Any]:
    crd = next(crd for crd in crds.all() if crd["spec"]["names"]["kind"] == KIND)
    whole: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return closed(whole["properties"]["spec"])


def closed(node: Any) -> Any:
    """Refuse fields that the schema does not name, as the API server does."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and "type" in node:
        made["additionalProperties"] = False
    return made


def test_each_fits_its_definition(render: Render) -> None:
    made = of_chart(render, ALL)
    assert {name for name in made if name.startswith("shoal-")} == {
        "shoal-kserve-sdk",
        "shoal-custom",
    }
    for body in made.values():
        jsonschema.Draft7Validator(schema()).validate(body["spec"])


def test_golden_cases_are_of_these(render: Render) -> None:
    made = of_chart(render, {"image": {"repository": "localhost/shoal", "tag": "dev"}})
    stored = manifests.read(CHECKOUT / "tests" / "golden" / "runtimes.yaml")
    assert stored == list(made.values())


def test_kserves_are_those_that_upstream_ships(render: Render) -> None:
    made = of_chart(render)
    theirs = {body["metadata"]["name"]: body for body in manifests.read(UPSTREAMS)}
    # One of several nodes has no place here; one of ModelMesh serves nobody.
    left = {"kserve-huggingfaceserver-multinode", "modelmesh-leftover"}
    assert theirs.keys() - made.keys() == left
    ours = {"kserve-mlserver", "kserve-tritonserver"}
    for name in theirs.keys() & made.keys() - ours:
        theirs[name]["spec"].pop("hostIPC", None)  # false, as without
        assert made[name]["spec"] == theirs[name]["spec"]
        assert made[name]["metadata"]["annotations"] == theirs[name]["metadata"]["annotations"]


def test_kserves_images_are_its_own(render: Render) -> None:
    boxes = [body["spec"]["containers"][0] for body in of_chart(render).values()]
    images = sorted(box["image"] for box in boxes if not box["image"].startswith("shoal-"))
    assert images == sorted(KSERVES.values())


def test_each_has_a_name_of_its_own(render: Render) -> None:
    assert len(of_chart(render)) == len(OURS | KSERVES.keys())


@pytest.mark.parametrize("key", KSERVES)
def test_each_of_kserves_has_its_resources(render: Render, key: str) -> None:
    given = {"image": "localhost/mine:1", "resources": {"limits": {"memory": "1Gi"}}}
    values = {"runtimes": {key: given}}
    boxes = [body["spec"]["containers"][0] for body in of_chart(render, values).values()]
    (box,) = (box for box in boxes if box["image"] == "localhost/mine:1")
    assert box["resources"]["limits"]["memory"] == "1Gi"


@pytest.mark.parametrize("key", sorted(OURS | KSERVES.keys()))
def test_each_can_be_left_out_and_have_its_own_image(render: Render, key: str) -> None:
    everything = of_chart(render)
    less = of_chart(render, {"runtimes": {key: {"enabled": False}}})
    assert len(less) == len(everything) - 1
    (name,) = everything.keys() - less.keys()
    mine = of_chart(render, {"runtimes": {key: {"image": "localhost/mine:1"}}})[name]
    assert mine["spec"]["containers"][0]["image"] == "localhost/mine:1"


def test_none_is_installed_where_none_is_wanted(render: Render) -> None:
    objects = render({"runtimes": {"install": False}})
    assert [body for body in objects if body["metadata"]["name"] == "shoal-runtimes"] == []
    pod = _pod(objects)
    assert "volumes" not in pod
    assert "SHOAL_RUNTIMES_DIR" not in json.dumps(pod)


def test_images_follow_the_operators(render: Render) -> None:
    made = of_chart(render, {"image": {"repository": "localhost/shoal", "tag": "dev"}})
    images = {name: body["spec"]["containers"][0]["image"] for name, body in made.items()}
    assert {name: image for name, image in images.items() if "shoal" in image} == {
        "kserve-mlserver": "localhost/shoal-mlserver:dev",
        "kserve-tritonserver": "localhost/shoal-triton:dev",
        "shoal-kserve-sdk": "localhost/shoal-kserve-sdk:dev",
    }


def _pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = [body for body in objects if body["kind"] == "Deployment"]
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def test_the_operator_reads_them_where_it_is_told(render: Render) -> None:
    pod = _pod(render())
    (box,) = pod["containers"]
    (mount,) = box["volumeMounts"]
    environ = {row["name"]: row.get("value", "downward") for row in box["env"]}
    assert OperatorSettings.parse(environ).runtimes_dir == mount["mountPath"]
    assert pod["volumes"] == [{"name": mount["name"], "configMap": {"name": "shoal-runtimes"}}]


def test_another_set_is_another_pod(render: Render) -> None:
    stamps = [
        body["spec"]["template"]["metadata"]["annotations"]["shoal/runtimes"]
        for values in ({}, {"runtimes": {"mlserver": {"parallelWorkers": 2}}}, {})
        for body in render(values)
        if body["kind"] == "Deployment"
    ]
    assert stamps[0] == stamps[2] != stamps[1]


@pytest.mark.parametrize(
    ("predictor", "chosen"),
    [
        ({"sklearn": {}}, "kserve-mlserver"),
        ({"xgboost": {}}, "kserve-mlserver"),
        ({"lightgbm": {"protocolVersion": "v2"}}, "kserve-mlserver"),
        ({"model": {"modelFormat": {"name": "mlflow", "version": "2"}}}, "kserve-mlserver"),
        ({"triton": {}}, "kserve-tritonserver"),
        ({"onnx": {}}, "kserve-tritonserver"),
        ({"tensorflow": {}}, "kserve-tritonserver"),
        ({"sklearn": {"storageUri": "s3://b/m"}}, "kserve-sklearnserver"),
        ({"pytorch": {"storageUri": "s3://b/m"}}, "kserve-torchserve"),
        ({"model": {"modelFormat": {"name": "custom"}}}, "shoal-custom"),
        (
            {"model": {"modelFormat": {"name": "sklearn"}, "runtime": "shoal-kserve-sdk"}},
            "shoal-kserve-sdk",
        ),
    ],
    ids=yaml.safe_dump,
)
def test_each_key_has_its_server(render: Render, predictor: dict[str, Any], chosen: str) -> None:
    runtimes = [servingruntimes.parse(body) for body in of_chart(render, ALL).values()]
    service = inferenceservices.parse(
        builders.inference_service() | {"spec": {"predictor": predictor}}
    )
    made = servers.resolve(service, "digest", runtimes, None)
    assert made.pin is not None
    assert made.pin.name == chosen
