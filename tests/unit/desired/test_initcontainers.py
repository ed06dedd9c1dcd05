from typing import Any

import pytest

from shoal.api import inferenceservices
from shoal.api.settings import AgentConfig
from shoal.desired import children, deployments
from shoal.errors import StalledError
from shoal.settings import FetchSettings
from support import builders
from support.builders import Body

URI = "s3://models/iris"
SECRET = {"serving.kserve.io/storageSecretName": "mine"}
ARTIFACT = "serving.kserve.io/artifact-digest"
DIGEST = "sha256:" + "0" * 64


def _own(value: str = URI, *others: Body, **fields: Any) -> Body:
    """Make a service of a container of one's own, with the model's address in its environment."""
    box = builders.container(env=[{"name": "STORAGE_URI", "value": value}], **fields)
    return builders.inference_service(containers=[box, *others])


def _pod(body: Body, config: Body | None = None) -> dict[str, Any]:
    made = deployments.make(builders.wanted(body, config))
    pod: dict[str, Any] = made["spec"]["template"]["spec"]
    return pod


def _kinds(body: Body) -> list[str]:
    return [child["kind"] for child in children.make(builders.wanted(body))]


def _mounts(box: Body) -> dict[str, Body]:
    return {row["mountPath"]: row for row in box.get("volumeMounts") or []}


def test_the_init_container_brings_the_model_before_the_server_starts() -> None:
    pod = _pod(_own())
    (init,) = pod["initContainers"]
    assert (init["name"], init["args"]) == ("storage-initializer", ["fetch", URI, "/mnt/models"])
    assert init["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert {"name": "kserve-provision-location", "emptyDir": {}} in pod["volumes"]
    assert _mounts(init)["/mnt/models"].get("readOnly", False) is False
    assert _mounts(pod["containers"][0])["/mnt/models"] == {
        "name": "kserve-provision-location",
        "mountPath": "/mnt/models",
        "readOnly": True,
    }


def test_the_image_is_the_agents_and_the_resources_are_its_own() -> None:
    own = {"image": "kserve/storage-initializer", "cpuRequest": "0", "memoryLimit": "2048Mi"}
    config = {"storageInitializer": own, "agent": {"image": "mine:1"}}
    (init,) = _pod(_own(), config)["initContainers"]
    assert init["image"] == "mine:1"
    assert init["resources"] == {
        "requests": {"memory": "100Mi"},
        "limits": {"cpu": "1", "memory": "2Gi"},
    }


def test_it_learns_whose_credentials_to_read_and_what_is_too_much() -> None:
    body = _own()
    body["metadata"]["annotations"] = SECRET
    (init,) = _pod(body, {"agent": {"fetchMaxFiles": 7, "fetchConcurrency": 9}})["initContainers"]
    assert {row["name"]: row["value"] for row in init["env"]} == {
        "SHOAL_NAMESPACE": "default",
        "SHOAL_SERVICE_ACCOUNT": "default",
        "SHOAL_STORAGE_SECRET": "mine",
        "SHOAL_FETCH_MAX_FILES": "7",
    }


def test_the_limits_that_are_not_told_are_the_configurations() -> None:
    downloads, config = FetchSettings.parse({}).downloads, AgentConfig()
    assert (downloads.max_files, downloads.stall_seconds) == (
        config.fetch_max_files,
        config.fetch_stall_seconds,
    )


def test_only_it_has_the_token() -> None:
    pod = _pod(_own())
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert pod["automountServiceAccountToken"] is False
    assert place in _mounts(pod["initContainers"][0])
    assert place not in _mounts(pod["containers"][0])


def test_the_role_names_what_it_reads_and_no_list_of_models() -> None:
    body = _own()
    body["metadata"]["annotations"] = SECRET
    role, binding = children.make(builders.wanted(body, secrets=("listed",)))[:2]
    named = {rule["resources"][0]: rule["resourceNames"] for rule in role["rules"]}
    assert named == {"serviceaccounts": ["default"], "secrets": ["listed", "mine"]}
    assert binding["subjects"][0]["name"] == "default"


def test_the_users_init_containers_come_first() -> None:
    body = _own()
    body["spec"]["predictor"]["initContainers"] = [{"name": "before", "image": "a"}]
    assert [box["name"] for box in _pod(body)["initContainers"]] == [
        "before",
        "storage-initializer",
    ]


def test_a_storage_initializer_of_the_users_own_does_it_all() -> None:
    body = _own()
    body["spec"]["predictor"]["initContainers"] = [{"name": "storage-initializer", "image": "a"}]
    pod = _pod(body)
    assert pod["initContainers"] == [{"name": "storage-initializer", "image": "a"}]
    assert "volumes" not in pod
    assert "Role" not in _kinds(body)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(ARTIFACT, DIGEST, id="a-digest"),
        pytest.param("serving.kserve.io/model-cache", "pvc://claim", id="a-cache"),
    ],
)
def test_it_is_not_to_do_what_it_does_not_know(key: str, value: str) -> None:
    body = _own()
    body["spec"]["predictor"]["initContainers"] = [{"name": "storage-initializer", "image": "a"}]
    body["metadata"]["annotations"] = {key: value}
    with pytest.raises(StalledError, match="brings the model; remove one of the two") as caught:
        _pod(body)
    assert caught.value.message.startswith(f"metadata.annotations[{key}]: has no use where")


def test_a_promised_digest_is_told_and_another_makes_new_pods() -> None:
    def env(digest: str) -> dict[str, str]:
        body = _own()
        body["metadata"]["annotations"] = {ARTIFACT: digest}
        (init,) = _pod(body)["initContainers"]
        return {row["name"]: row["value"] for row in init["env"]}

    assert env(DIGEST)["SHOAL_ARTIFACT_DIGEST"] == DIGEST
    assert "SHOAL_ARTIFACT_DIGEST" not in env("")


def test_the_server_reads_where_the_model_is() -> None:
    env = {row["name"]: row["value"] for row in _pod(_own())["containers"][0]["env"]}
    assert env["STORAGE_URI"] == "/mnt/models"


def test_a_transformer_beside_the_server_sees_the_model_and_a_helper_does_not() -> None:
    others = [builders.container("transformer-container"), builders.container("side")]
    boxes = _pod(_own(URI, *others))["containers"]
    assert ["/mnt/models" in _mounts(box) for box in boxes] == [True, True, False]


@pytest.mark.parametrize(
    ("value", "read_only"),
    [
        pytest.param("false", False, id="false-lets-the-server-write"),
        pytest.param("true", True, id="true-does-not"),
    ],
)
@pytest.mark.parametrize("uri", [URI, "pvc://claim/a"])
def test_the_annotation_says_who_may_write(uri: str, value: str, *, read_only: bool) -> None:
    body = _own(uri)
    body["metadata"]["annotations"] = {"storage.kserve.io/readonly": value}
    mount = _mounts(_pod(body)["containers"][0])["/mnt/models"]
    assert mount.get("readOnly", False) is read_only


@pytest.mark.parametrize(
    ("uri", "claim", "path"),
    [
        pytest.param("pvc://claim/a/b", "claim", {"subPath": "a/b"}, id="a-folder"),
        pytest.param("pvc://claim/a/", "claim", {"subPath": "a"}, id="with-a-slash"),
        pytest.param("pvc://claim", "claim", {}, id="the-whole-claim"),
        pytest.param("pvc://claim/", "claim", {}, id="the-whole-claim-with-a-slash"),
    ],
)
def test_a_claim_is_mounted_and_nothing_is_fetched(uri: str, claim: str, path: Body) -> None:
    body = _own(uri)
    pod = _pod(body)
    assert "initContainers" not in pod
    assert "automountServiceAccountToken" not in pod
    assert pod["volumes"] == [
        {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim}}
    ]
    assert _mounts(pod["containers"][0])["/mnt/models"] == {
        "name": "kserve-pvc-source",
        "mountPath": "/mnt/models",
        "readOnly": True,
        **path,
    }
    assert "Role" not in _kinds(body)


@pytest.mark.parametrize("uri", ["pvc://", "pvc:///a", "pvc://claim/../a"])
def test_an_address_without_a_claim_is_refused(uri: str) -> None:
    with pytest.raises(StalledError) as caught:
        _pod(_own(uri))
    assert caught.value.message == (
        f"spec.predictor.containers[0].env[STORAGE_URI]: {uri!r} is not of the form "
        "pvc://CLAIM/PATH"
    )


def test_the_field_of_a_framework_is_named() -> None:
    body = builders.framework("sklearn", {"storageUri": "pvc://"})
    runtime = builders.runtime("sklearn")
    service = inferenceservices.parse(body)
    wanted = builders.wanted(body, server=builders.server(service, runtime))
    with pytest.raises(StalledError) as caught:
        deployments.make(wanted)
    assert caught.value.message.startswith("spec.predictor.sklearn.storageUri: 'pvc://'")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(
            _own(volumeMounts=[{"name": "a", "mountPath": "/mnt/models/"}]),
            "spec.predictor.containers[0].volumeMounts[0].mountPath: '/mnt/models/'",
            id="a-mount",
        ),
        pytest.param(
            _own()
            | {
                "spec": {
                    "predictor": {
                        **_own()["spec"]["predictor"],
                        "volumes": [{"name": "kserve-provision-location", "emptyDir": {}}],
                    }
                }
            },
            "spec.predictor.volumes[0].name: 'kserve-provision-location'",
            id="a-volume",
        ),
    ],
)
def test_what_the_user_has_there_is_refused(body: Body, path: str) -> None:
    with pytest.raises(StalledError) as caught:
        _pod(body)
    assert caught.value.message == (
        f"{path} is used by the model that storageUri names; choose another"
    )
