from typing import Any

import pytest

from shoal.api import quantities
from shoal.api.settings import AgentConfig
from shoal.desired import deployments
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.settings import AgentSettings
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


def test_claims_are_mounted_for_pvc_addresses() -> None:
    def claim(name: str, claim_name: str) -> Body:
        return {"name": name, "persistentVolumeClaim": {"claimName": claim_name}}

    box = builders.container(volumeDevices=[{"name": "raw", "devicePath": "/dev/x"}])
    service = builders.inference_service(containers=[box])
    service["spec"]["predictor"]["volumes"] = [
        claim("models", "shared"),
        claim("again", "shared"),
        claim("raw", "device"),
        {"name": "other", "emptyDir": {}},
    ]
    agent = _pod(service)["containers"][-1]
    mounts = [row for row in agent["volumeMounts"] if row["mountPath"].startswith("/mnt/claims")]
    assert mounts == [{"name": "models", "mountPath": "/mnt/claims/shared", "readOnly": True}]


@pytest.mark.parametrize(
    ("given", "volume", "variable"),
    [
        pytest.param({}, {}, None, id="the-nodes-disk-is-the-bound"),
        pytest.param({"storeLimit": "0"}, {}, None, id="zero-is-none"),
        pytest.param(
            {"storeLimit": "2048Mi"}, {"sizeLimit": "2Gi"}, "2147483648", id="spelt-canonically"
        ),
    ],
)
def test_the_limit_of_the_store(
    given: dict[str, str], volume: dict[str, str], variable: str | None
) -> None:
    wanted = builders.wanted(config={"agent": given}, is_host=True)
    pod = deployments.make(wanted)["spec"]["template"]["spec"]
    stores = {row["name"]: row.get("emptyDir") for row in pod["volumes"]}
    env = {row["name"]: row.get("value") for row in pod["containers"][-1]["env"]}
    assert (stores["model-store"], env.get("SHOAL_STORE_BYTES")) == (volume, variable)


@pytest.mark.parametrize(
    ("given", "variables"),
    [
        pytest.param({}, {}, id="the-agents-own-defaults"),
        pytest.param({"fetchMaxSize": "1024Gi", "fetchConcurrency": 4}, {}, id="spelt-out"),
        pytest.param(
            {"fetchMaxSize": "5G", "fetchStallSeconds": "30", "archiveRatio": 2000},
            {
                "SHOAL_FETCH_MAX_BYTES": "5000000000",
                "SHOAL_FETCH_STALL_SECONDS": "30",
                "SHOAL_ARCHIVE_RATIO": "2000",
            },
            id="others",
        ),
        pytest.param(
            {"fetchConcurrency": 9, "fetchMaxFiles": 10, "fetchSeconds": 60},
            {
                "SHOAL_FETCH_CONCURRENCY": "9",
                "SHOAL_FETCH_MAX_FILES": "10",
                "SHOAL_FETCH_SECONDS": "60",
            },
            id="the-rest",
        ),
    ],
)
def test_the_limits_of_downloads(given: dict[str, object], variables: dict[str, str]) -> None:
    wanted = builders.wanted(config={"agent": given}, is_host=True)
    pod = deployments.make(wanted)["spec"]["template"]["spec"]
    env = {row["name"]: row.get("value") for row in pod["containers"][-1]["env"]}
    named = {name: env[name] for name in env if name.startswith(("SHOAL_FETCH", "SHOAL_ARCHIVE"))}
    assert named == variables


def test_the_agents_defaults_are_those_of_the_configuration() -> None:
    agent = AgentSettings.parse({"SHOAL_NAMESPACE": "ns", "SHOAL_INFERENCE_SERVICE": "svc"})
    config = AgentConfig()
    assert (agent.fetch_concurrency, agent.downloads.max_files, agent.downloads.archive_ratio) == (
        config.fetch_concurrency,
        config.fetch_max_files,
        config.archive_ratio,
    )
    assert (agent.downloads.stall_seconds, agent.downloads.seconds) == (
        config.fetch_stall_seconds,
        config.fetch_seconds,
    )
    assert agent.downloads.max_bytes == quantities.parse(config.fetch_max_size)


DRAIN = {"preStop": {"httpGet": {"path": "/drain", "port": 9082}}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, DRAIN, id="by-itself"),
        pytest.param(
            {"postStart": {"sleep": {"seconds": 1}}},
            {**DRAIN, "postStart": {"sleep": {"seconds": 1}}},
            id="beside-another-hook",
        ),
        pytest.param(
            {"preStop": {"sleep": {"seconds": 9}}},
            {"preStop": {"sleep": {"seconds": 9}}},
            id="not-in-place-of-the-users",
        ),
    ],
)
def test_the_server_ends_when_the_agent_says_so(given: Body, expected: Body) -> None:
    box = builders.container(lifecycle=given) if given else builders.container()
    server, agent = _pod(builders.inference_service(containers=[box]))["containers"]
    assert server["lifecycle"] == expected
    assert agent["lifecycle"] == DRAIN
