"""The init container of a ClusterStorageContainer, and what its pods have beside it."""

from collections.abc import Mapping
from typing import Any

import pytest

from shoal import names
from shoal.api import inferenceservices, storagecontainers
from shoal.desired import children, deployments, downloaders, records
from shoal.desired.storagecontainers import Choice
from shoal.desired.wanted import Wanted
from shoal.errors import StalledError
from shoal.reasons import Reason
from shoal.runtimes import servers
from support import builders
from support.builders import Body

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
HF = {
    "HF_HUB_ENABLE_HF_TRANSFER": "1",
    "HF_XET_HIGH_PERFORMANCE": "1",
    "HF_XET_NUM_CONCURRENT_RANGE_GETS": "8",
}
FOREIGN = builders.storage_container("demo://", "s3://", "gs://", supportsMultiModelDownload=True)


def service(uri: str = "demo://iris", **predictor: Any) -> Body:
    env = [{"name": "STORAGE_URI", "value": uri}] if uri else []
    return builders.inference_service(
        containers=[builders.container(env=env)], predictor=predictor
    )


def wanted(body: Body, container: Body = FOREIGN, **given: Any) -> Wanted:
    found = storagecontainers.parse(container)
    return builders.wanted(body, storage=Choice(found.name, found), **given)


def pod(body: Body, container: Body = FOREIGN, **given: Any) -> dict[str, Any]:
    made = deployments.make(wanted(body, container, **given))
    found: dict[str, Any] = made["spec"]["template"]["spec"]
    return found


def init(body: Body, container: Body = FOREIGN, **given: Any) -> dict[str, Any]:
    (box,) = pod(body, container, **given)["initContainers"]
    found: dict[str, Any] = box
    return found


def plain(box: Body) -> dict[str, str]:
    return {row["name"]: row["value"] for row in box["env"] if "value" in row}


def referred(box: Body) -> dict[str, Mapping[str, Any]]:
    rows = (row for row in box["env"] if "valueFrom" in row)
    return {row["name"]: row["valueFrom"]["secretKeyRef"] for row in rows}


def test_it_takes_the_address_and_brings_the_model_where_ours_would() -> None:
    made = pod(service())
    (box,) = made["initContainers"]
    assert (box["name"], box["image"]) == ("storage-initializer", "example/fetcher:1")
    assert box["args"] == ["demo://iris", "/mnt/models"]
    assert box["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert box["volumeMounts"] == [
        {"name": "kserve-provision-location", "mountPath": "/mnt/models"}
    ]
    (mount,) = made["containers"][0]["volumeMounts"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/mnt/models", True)
    assert made["volumes"] == [{"name": "kserve-provision-location", "emptyDir": {}}]


def test_the_resources_are_the_configurations_unless_it_has_its_own() -> None:
    config = {"storageInitializer": {"cpuRequest": "0", "memoryLimit": "2Gi"}}
    assert init(service(), config=config)["resources"] == {
        "requests": {"memory": "100Mi"},
        "limits": {"cpu": "1", "memory": "2Gi"},
    }
    own = {"resources": {"limits": {"memory": "50Mi"}}}
    container = builders.storage_container("demo://", container=own)
    resources = init(service(), container, config=config)["resources"]
    assert resources["limits"]["memory"] == "50Mi"
    assert resources["requests"]["memory"] == "50Mi"


def test_what_it_says_itself_wins() -> None:
    own = {
        "name": "other",
        "command": ["fetch-it"],
        "args": ["--fixed"],
        "env": [{"name": "HF_XET_HIGH_PERFORMANCE", "value": "0"}],
        "securityContext": {"runAsUser": 7},
        "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    }
    box = init(service(), builders.storage_container("demo://", container=own))
    assert box["name"] == "storage-initializer"
    assert (box["command"], box["args"]) == (["fetch-it"], ["--fixed"])
    assert plain(box) == {**HF, "HF_XET_HIGH_PERFORMANCE": "0"}
    assert box["securityContext"] == {"runAsUser": 7}
    assert [row["mountPath"] for row in box["volumeMounts"]] == ["/mnt/models", "/cache"]


def test_an_amount_that_is_no_quantity_is_told() -> None:
    own = {"resources": {"limits": {"memory": "much"}}}
    with pytest.raises(StalledError, match=r"fetcher: spec\.container\.resources: ") as raised:
        init(service(), builders.storage_container("demo://", container=own))
    assert raised.value.reason == Reason.STORAGE_CONTAINER_UNFIT


def test_it_gets_neither_the_token_nor_rights() -> None:
    made = pod(service())
    assert made["automountServiceAccountToken"] is False
    mounts = [row["mountPath"] for row in made["initContainers"][0]["volumeMounts"]]
    assert TOKEN not in mounts
    kinds = [body["kind"] for body in children.make(wanted(service()))]
    assert "Role" not in kinds
    assert "RoleBinding" not in kinds
    users = pod(service(automountServiceAccountToken=True))
    assert users["automountServiceAccountToken"] is True


def test_a_deployment_that_is_kept_keeps_the_rights_that_it_has() -> None:
    body = service()
    ours = deployments.make(builders.wanted(service("s3://models/iris")))
    foreign = deployments.make(wanted(body))
    for kept, expected in ((ours, True), (foreign, False)):
        made = wanted(body)
        server = servers.held(made.server, kept)
        held = builders.wanted(body, storage=made.storage, server=server, deployment=kept)
        kinds = [child["kind"] for child in children.make(held)]
        assert ("Role" in kinds) is expected


def test_several_addresses_are_pairs_and_claims_are_not_among_them() -> None:
    rows = [
        {"uri": "demo://a", "mountPath": "/mnt/models/a"},
        {"uri": "pvc://claim/b", "mountPath": "/mnt/models/b"},
        {"uri": "s3://c", "mountPath": "/mnt/models/c/"},
    ]
    box = init(service("", storageUris=rows))
    assert box["args"] == ["demo://a", "/mnt/models/a", "s3://c", "/mnt/models/c"]


def test_without_an_image_it_is_our_own_with_what_it_says() -> None:
    own = {"env": [{"name": "A", "value": "b"}], "resources": {"limits": {"memory": "5Gi"}}}
    container = builders.storage_container("s3://", image="", container=own)
    usual = deployments.make(builders.wanted(service("s3://m")))["spec"]["template"]["spec"]
    made = pod(service("s3://m"), container)
    box = made["initContainers"][0]
    assert box["args"] == ["fetch", "s3://m", "/mnt/models"]
    assert (box["image"], box["resources"]["limits"]["memory"]) == ("localhost/shoal:dev", "5Gi")
    assert plain(box) == {**plain(usual["initContainers"][0]), "A": "b"}
    assert made["volumes"] == usual["volumes"]
    kinds = [body["kind"] for body in children.make(wanted(service("s3://m"), container))]
    assert "Role" in kinds


@pytest.mark.parametrize(
    ("annotations", "listed", "expected"),
    [
        pytest.param({}, (), "", id="none"),
        pytest.param({}, ("listed",), "listed", id="the-accounts"),
        pytest.param({}, ("a", "b"), "a", id="the-first-of-the-accounts"),
        pytest.param(
            {"serving.kserve.io/storageSecretName": "mine"}, ("listed",), "mine", id="the-services"
        ),
    ],
)
def test_credentials_are_references_that_may_lead_to_nothing(
    annotations: dict[str, str], listed: tuple[str, ...], expected: str
) -> None:
    body = service()
    body["metadata"]["annotations"] = annotations
    found = referred(init(body, secrets=listed))
    if not expected:
        assert found == {}
        return
    assert {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "S3_ENDPOINT", "HF_TOKEN"} <= found.keys()
    assert {"AZURE_CLIENT_ID", "AZ_CLIENT_ID", "awsAnonymousCredential"} <= found.keys()
    for name, reference in found.items():
        assert reference == {"name": expected, "key": name, "optional": True}


def test_of_several_secrets_the_one_that_counts_is_told() -> None:
    error = downloaders.doubt(wanted(service(), secrets=("a", "b")))
    assert error is not None
    assert error.reason == Reason.SECRETS_AMBIGUOUS
    assert "keys of Secret a alone" in error.message
    assert "ServiceAccount default lists (a, b)" in error.message
    named = service()
    named["metadata"]["annotations"] = {"serving.kserve.io/storageSecretName": "mine"}
    assert downloaders.doubt(wanted(named, secrets=("a", "b"))) is None
    assert downloaders.doubt(wanted(service(), secrets=("a",))) is None
    ours = builders.storage_container("demo://", image="")
    assert downloaders.doubt(wanted(service(), ours, secrets=("a", "b"))) is None
    assert downloaders.doubt(builders.wanted(service("s3://m"), secrets=("a", "b"))) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(
            {"s3-endpoint": "minio:9000", "s3-usehttps": "0"},
            {
                "S3_ENDPOINT": "minio:9000",
                "AWS_ENDPOINT_URL": "http://minio:9000",
                "S3_USE_HTTPS": "0",
            },
            id="an-endpoint-without-https",
        ),
        pytest.param(
            {"s3-endpoint": "http://minio:9000", "s3-usehttps": "1"},
            {
                "S3_ENDPOINT": "minio:9000",
                "AWS_ENDPOINT_URL": "http://minio:9000",
                "S3_USE_HTTPS": "0",
            },
            id="the-endpoints-scheme-wins",
        ),
        pytest.param(
            {"s3-endpoint": "minio"},
            {"S3_ENDPOINT": "minio", "AWS_ENDPOINT_URL": "https://minio", "S3_USE_HTTPS": "1"},
            id="https-unless-told",
        ),
        pytest.param({"s3-usehttps": "0"}, {"S3_USE_HTTPS": "0"}, id="no-endpoint"),
        pytest.param(
            {
                "s3-region": "eu",
                "s3-verifyssl": "0",
                "s3-usevirtualbucket": "true",
                "s3-useaccelerate": "true",
                "s3-useanoncredential": "true",
                "s3-cabundle": "/ca/a.pem",
            },
            {
                "AWS_DEFAULT_REGION": "eu",
                "S3_VERIFY_SSL": "0",
                "S3_USER_VIRTUAL_BUCKET": "true",
                "S3_USE_ACCELERATE": "true",
                "awsAnonymousCredential": "true",
                "AWS_CA_BUNDLE": "/ca/a.pem",
            },
            id="the-others",
        ),
    ],
)
def test_the_accounts_annotations_are_plain(said: Body, expected: Body) -> None:
    account = {f"serving.kserve.io/{key}": value for key, value in said.items()}
    account["example.com/s3-region"] = "elsewhere"
    box = init(service(), secrets=("listed",), account=account)
    assert plain(box) == {**HF, **expected}
    assert not expected.keys() & referred(box).keys()
    names = [row["name"] for row in box["env"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("key", "optional"), [("mine", False), ("", True)], ids=["named", "open"])
def test_a_store_by_its_name(key: str, *, optional: bool) -> None:
    parameters = {"type": "s3", "bucket": "models", "region": "eu"}
    spec: Body = {"path": "iris", "parameters": parameters} | ({"key": key} if key else {})
    body = builders.framework("sklearn", {"storage": spec})
    server = builders.server(inferenceservices.parse(body), builders.runtime("sklearn"))
    made = init(body, server=server, secrets=("listed",), account={"a": "b"})
    assert made["args"] == ["s3://models/iris", "/mnt/models"]
    reference = {"name": "storage-config", "key": key or "default_s3"}
    assert referred(made) == {
        "STORAGE_CONFIG": reference | ({"optional": True} if optional else {})
    }
    override = '{"bucket":"models","region":"eu","type":"s3"}'
    assert plain(made) == {**HF, "STORAGE_OVERRIDE_CONFIG": override}


@pytest.mark.parametrize(
    ("config", "bundle", "expected"),
    [
        pytest.param({}, "", "", id="none"),
        pytest.param(
            {"caBundleConfigMapName": "corporate"}, "", "cabundle-custom-model-mms", id="ours"
        ),
        pytest.param({"caBundleConfigMapName": "corporate"}, "s3-ca", "s3-ca", id="the-accounts"),
        pytest.param({}, "s3-ca", "s3-ca", id="the-accounts-alone"),
    ],
)
def test_authorities(config: Body, bundle: str, expected: str) -> None:
    made = pod(
        service(),
        config={"storageInitializer": config},
        account={names.CA_BUNDLE_ANNOTATION: bundle},
    )
    box = made["initContainers"][0]
    volumes = {row["name"]: row for row in made["volumes"]}
    if not expected:
        assert "cabundle-cert" not in volumes
        assert plain(box) == HF
        return
    assert volumes["cabundle-cert"]["configMap"]["name"] == expected
    assert volumes["cabundle-cert"]["configMap"]["optional"] is True
    assert plain(box) == {
        **HF,
        "CA_BUNDLE_CONFIGMAP_NAME": expected,
        "CA_BUNDLE_VOLUME_MOUNT_POINT": "/etc/ssl/custom-certs",
    }
    assert box["volumeMounts"][-1]["mountPath"] == "/etc/ssl/custom-certs"


def test_googles_key_is_a_file_that_need_not_be_there() -> None:
    made = pod(service("gs://models/iris"), secrets=("listed",))
    volume = made["volumes"][-1]
    assert (volume["name"], volume["secret"]["secretName"]) == ("user-gcp-sa", "listed")
    assert volume["secret"]["optional"] is True
    assert [row["key"] for row in volume["secret"]["items"]] == [
        "gcloud-application-credentials.json"
    ]
    box = made["initContainers"][0]
    assert box["volumeMounts"][-1] == {
        "name": "user-gcp-sa",
        "mountPath": "/var/secrets",
        "readOnly": True,
    }
    # A path that leads to nothing would keep others from being asked.
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in {row["name"] for row in box["env"]}
    assert len(pod(service("gs://models/iris"))["volumes"]) == 1


def test_the_volumes_that_are_added_are_not_the_users() -> None:
    volumes = [{"name": "user-gcp-sa", "emptyDir": {}}]
    with pytest.raises(StalledError, match="'user-gcp-sa' is used by the model that storageUri"):
        pod(service("gs://m/iris", volumes=volumes), secrets=("listed",))


def test_the_deployment_records_who_fetches() -> None:
    made = records.decode(deployments.make(wanted(service())))
    assert made is not None
    assert made.storage_container == "fetcher"
    (ours,) = deployments.make_record(builders.wanted(service("s3://m"))).encode().values()
    assert "storage_container" not in ours


def test_the_record_follows_one_that_makes_the_same_pods() -> None:
    before = deployments.make(wanted(service()))
    other = builders.storage_container("demo://", name="other")
    record = deployments.make_record(wanted(service(), other, deployment=before))
    assert record.storage_container == "other"
    assert not record.automatic


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("artifact-digest", f"sha256:{'0' * 64}", id="a-digest"),
        pytest.param("model-cache", "pvc://claim", id="a-cache"),
    ],
)
def test_what_it_does_not_read_is_not_promised(key: str, value: str) -> None:
    body = service()
    body["metadata"]["annotations"] = {f"serving.kserve.io/{key}": value}
    with pytest.raises(StalledError) as caught:
        deployments.make(wanted(body))
    assert str(caught.value) == (
        f"metadata.annotations[serving.kserve.io/{key}]: has no use where "
        "ClusterStorageContainer fetcher brings the model; remove one of the two"
    )
    ours = builders.storage_container("demo://", image="")
    assert deployments.make(wanted(body, ours))
