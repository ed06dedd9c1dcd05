from typing import Any

import pytest

from shoal.desired import deployments
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders
from support.builders import Body


def _pod(body: Body, config: Body | None = None) -> dict[str, Any]:
    made = deployments.make(builders.wanted(body, config, is_host=True))
    pod: dict[str, Any] = made["spec"]["template"]["spec"]
    return pod


def _mounts(box: dict[str, Any]) -> dict[str, bool]:
    return {row["mountPath"]: row.get("readOnly", False) for row in box["volumeMounts"]}


def test_the_agent_comes_last_and_knows_its_server() -> None:
    box = builders.container(ports=[{"containerPort": 9000}])
    pod = _pod(builders.inference_service(containers=[box]))
    agent = pod["containers"][-1]
    env = {row["name"]: row.get("value") for row in agent["env"]}
    assert [one["name"] for one in pod["containers"]] == ["kserve-container", "agent"]
    assert env == {
        "SHOAL_POD_NAME": None,
        "SHOAL_NAMESPACE": "default",
        "SHOAL_INFERENCE_SERVICE": "custom-model-mms",
        "SHOAL_MODEL_CONFIG": "modelconfig-custom-model-mms-0",
        "SHOAL_SERVICE_ACCOUNT": "default",
        "SHOAL_SERVER_URL": "http://127.0.0.1:9000",
    }


def test_the_agent_learns_of_the_annotated_secret() -> None:
    annotations = {"serving.kserve.io/storageSecretName": "mine"}
    pod = _pod(builders.inference_service(annotations=annotations))
    assert {"name": "SHOAL_STORAGE_SECRET", "value": "mine"} in pod["containers"][-1]["env"]


@pytest.mark.parametrize(
    ("value", "read_only"),
    [
        pytest.param("false", False, id="false-lets-the-server-write"),
        pytest.param("true", True, id="true-does-not"),
        pytest.param(None, True, id="nor-does-silence"),
    ],
)
def test_models_are_mounted_into_the_server(value: str | None, *, read_only: bool) -> None:
    annotations = {"storage.kserve.io/readonly": value} if value else {}
    pod = _pod(builders.inference_service(annotations=annotations))
    server, agent = pod["containers"]
    assert _mounts(server) == {"/mnt/models": read_only, "/mnt/store": read_only}
    assert _mounts(agent) == {
        "/mnt/models": False,
        "/mnt/store": False,
        "/mnt/configs": True,
        "/var/run/secrets/kubernetes.io/serviceaccount": True,
    }


def test_only_the_server_among_several_gets_the_models() -> None:
    boxes = [builders.container("side"), builders.container()]
    pod = _pod(builders.inference_service(containers=boxes))
    assert ["volumeMounts" in box for box in pod["containers"]] == [False, True, True]


@pytest.mark.parametrize(
    ("predictor", "expected"),
    [
        pytest.param({}, False, id="the-agent-alone-has-the-token"),
        pytest.param({"automountServiceAccountToken": True}, True, id="unless-the-user-says-so"),
    ],
)
def test_token(predictor: Body, *, expected: bool) -> None:
    pod = _pod(builders.inference_service(predictor=predictor))
    assert pod["automountServiceAccountToken"] is expected


def test_the_users_volumes_and_mounts_stay() -> None:
    box = builders.container(volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}])  # noqa: S108
    volumes = [{"name": "tmp", "emptyDir": {}}]
    pod = _pod(builders.inference_service(containers=[box], predictor={"volumes": volumes}))
    assert pod["volumes"][0] == volumes[0]
    assert len(pod["volumes"]) == 5
    assert pod["containers"][0]["volumeMounts"][0]["name"] == "tmp"


def test_resources_of_the_agent_are_canonical_and_zero_is_none() -> None:
    config = {"agent": {"image": "shoal:1", "cpuLimit": "1000m", "memoryLimit": "0"}}
    agent = _pod(builders.inference_service(), config)["containers"][-1]
    assert agent["image"] == "shoal:1"
    assert agent["resources"] == {
        "requests": {"cpu": "100m", "memory": "100Mi"},
        "limits": {"cpu": "1"},
    }


@pytest.mark.parametrize(
    ("boxes", "predictor", "field"),
    [
        pytest.param(
            [builders.container(), builders.container("agent")],
            {},
            "spec.predictor.containers[1].name: 'agent'",
            id="container",
        ),
        pytest.param(
            [builders.container()],
            {"initContainers": [builders.container("agent")]},
            "spec.predictor.initContainers[0].name: 'agent'",
            id="init-container",
        ),
        *(
            pytest.param(
                [builders.container()],
                {"volumes": [{"name": "mine"}, {"name": name, "emptyDir": {}}]},
                f"spec.predictor.volumes[1].name: '{name}'",
                id=f"volume-{name}",
            )
            for name in ("model-dir", "model-store", "model-config", "agent-token")
        ),
        pytest.param(
            [builders.container(ports=[{"containerPort": 1}, {"containerPort": 9082}])],
            {},
            "spec.predictor.containers[0].ports[1].containerPort: 9082",
            id="port",
        ),
        pytest.param(
            [builders.container(volumeMounts=[{"name": "v", "mountPath": "/mnt/models/"}])],
            {},
            "spec.predictor.containers[0].volumeMounts[0].mountPath: '/mnt/models/'",
            id="mount",
        ),
    ],
)
def test_what_the_agent_needs_is_refused_to_the_user(
    boxes: list[Body], predictor: Body, field: str
) -> None:
    with pytest.raises(StalledError) as error:
        _pod(builders.inference_service(containers=boxes, predictor=predictor))
    assert error.value.reason == Reason.INVALID_SPEC
    assert error.value.message.startswith(field)


def test_other_mounts_ports_and_names_are_welcome() -> None:
    box = builders.container(
        ports=[{"containerPort": 8080}],
        volumeMounts=[{"name": "v", "mountPath": "/mnt/models-of-mine"}],
    )
    assert _pod(builders.inference_service(containers=[box]))
