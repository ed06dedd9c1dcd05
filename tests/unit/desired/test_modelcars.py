"""The sidecar that a model in an image comes by, and what the server's pod needs for it."""

from typing import Any

import pytest

from shoal import names
from shoal.desired import deployments, modelcars
from shoal.errors import StalledError
from shoal.reasons import Reason
from support import builders
from support.builders import Body

OCI = "oci://registry.example.com/iris:1"
CONFIG = {"ociModelMode": "modelcar"}
ROOT = {"runAsUser": 0}


def _own(predictor: Body | None = None, *others: Body, **fields: Any) -> Body:
    box = builders.container(env=[{"name": "STORAGE_URI", "value": OCI}], **fields)
    return builders.inference_service(containers=[box, *others], predictor=predictor or {})


def _many(*rows: tuple[str, str], **predictor: Any) -> Body:
    uris = [{"uri": uri, "mountPath": path} for uri, path in rows]
    return builders.inference_service(predictor={"storageUris": uris, **predictor})


def _pod(body: Body, **config: Any) -> Any:
    wanted = builders.wanted(body, {"storageInitializer": {**CONFIG, **config}})
    return deployments.make(wanted)["spec"]["template"]["spec"]


def _words(command: list[str]) -> list[str]:
    """Read a command as the kubelet does where no variable is meant."""
    return [word.replace("$$", "$") for word in command]


def test_it_runs_before_and_beside_the_server_and_both_see_its_volume() -> None:
    pod = _pod(_own())
    (car,) = pod["initContainers"]
    (server,) = pod["containers"]
    assert (car["name"], car["image"]) == ("modelcar", "registry.example.com/iris:1")
    assert car["restartPolicy"] == "Always"
    assert "imagePullPolicy" not in car
    assert pod["volumes"] == [{"name": "kserve-provision-location", "emptyDir": {}}]
    volume = {"name": "kserve-provision-location"}
    assert car["volumeMounts"] == [{**volume, "mountPath": "/mnt/modelcar"}]
    assert server["volumeMounts"] == [{**volume, "mountPath": "/mnt"}]
    assert {"name": "STORAGE_URI", "value": "/mnt/models"} in server["env"]
    assert pod["shareProcessNamespace"] is True
    assert "automountServiceAccountToken" not in pod


def test_its_command_survives_what_the_kubelet_makes_of_dollars() -> None:
    (car,) = _pod(_own())["initContainers"]
    arguments = ["/models", "/mnt/modelcar/models", "registry.example.com/iris:1", "1010"]
    assert _words(car["command"]) == ["sh", "-c", modelcars.SCRIPT, "modelcar", *arguments]
    assert "/proc/$$$$/root" in car["command"][2]
    asked = car["startupProbe"]["exec"]["command"]
    assert _words(asked)[2:] == ['[ -d "$1/." ]', "modelcar", "/mnt/modelcar/models"]


def test_its_resources_are_the_configurations() -> None:
    (car,) = _pod(_own(), cpuModelcar="20m", memoryModelcar="0.5Gi")["initContainers"]
    assert car["resources"] == {
        "requests": {"cpu": "20m", "memory": "512Mi"},
        "limits": {"cpu": "100m", "memory": "512Mi"},
    }
    (car,) = _pod(_own(), cpuModelcar="2")["initContainers"]
    assert car["resources"]["limits"]["cpu"] == "2"


@pytest.mark.parametrize(
    ("pod", "server", "config", "user", "group"),
    [
        pytest.param({}, {}, {}, 1010, 0, id="the-default"),
        pytest.param({}, {}, {"uidModelcar": 7}, 7, 0, id="the-configurations"),
        pytest.param({"runAsUser": 5}, {}, {}, 5, 0, id="the-pods"),
        pytest.param(
            {"runAsUser": 5, "runAsGroup": 6}, {"runAsUser": 8}, {}, 8, 6, id="the-servers-first"
        ),
        pytest.param({"runAsNonRoot": True}, {"runAsGroup": 9}, {}, 1010, 9, id="only-a-group"),
        pytest.param({}, ROOT, {}, 0, 0, id="root"),
    ],
)
def test_it_and_the_server_are_one_user(
    pod: Body, server: Body, config: Body, user: int, group: int
) -> None:
    given = {"securityContext": pod} if pod else {}
    fields = {"securityContext": server} if server else {}
    made = _pod(_own(given, **fields), **config)
    same = {"runAsUser": user, "runAsGroup": group}
    assert made["containers"][0]["securityContext"] == same
    context = made["initContainers"][0]["securityContext"]
    assert context | same == context
    assert context["runAsNonRoot"] is (user != 0)
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True


def test_a_transformer_reads_it_too_and_a_helper_does_not() -> None:
    others = [builders.container("transformer-container"), builders.container("side")]
    boxes = _pod(_own({}, *others))["containers"]
    assert ["securityContext" in box for box in boxes] == [True, True, False]
    assert ["volumeMounts" in box for box in boxes] == [True, True, False]


def test_the_users_init_containers_and_what_fetches_come_first() -> None:
    init = {"initContainers": [{"name": "before", "image": "a"}]}
    pod = _pod(_many(("s3://b/m", "/mnt/a"), (OCI, "/mnt/b"), **init))
    order = [box["name"] for box in pod["initContainers"]]
    assert order == ["before", "storage-initializer", "modelcar"]


def test_what_the_users_storage_initializer_brings_is_all() -> None:
    init = {"initContainers": [{"name": "storage-initializer", "image": "a"}]}
    assert _pod(_own(init))["initContainers"] == init["initContainers"]


def _places(pod: Body) -> list[tuple[str, str, bool]]:
    rows = pod["containers"][0]["volumeMounts"]
    return [(row["name"], row["mountPath"], row.get("readOnly", False)) for row in rows]


def _links(pod: Body) -> list[tuple[str, str, str]]:
    cars = [box for box in pod["initContainers"] if box["name"] in names.MODELCAR_CONTAINERS]
    return [(car["name"], car["volumeMounts"][0]["name"], car["command"][5]) for car in cars]


def test_several_link_into_the_volume_above_their_folders() -> None:
    pod = _pod(_many((OCI, "/mnt/models/a"), (OCI, "/mnt/models/b"), (OCI, "/mnt/c/$(d)")))
    assert _places(pod) == [("mnt-models", "/mnt/models", False), ("mnt-c", "/mnt/c", False)]
    assert _links(pod) == [
        ("modelcar", "mnt-models", "/mnt/modelcar/a"),
        ("modelcar-1", "mnt-models", "/mnt/modelcar/b"),
        ("modelcar-2", "mnt-c", "/mnt/modelcar/$$(d)"),
    ]


@pytest.mark.parametrize(
    ("rows", "places", "link"),
    [
        pytest.param(
            [("s3://b/m", "/mnt/models"), (OCI, "/mnt/models/a")],
            [("mnt-models", "/mnt/models", True)],
            "mnt-models",
            id="beside-what-is-fetched",
        ),
        pytest.param(
            [("s3://b/m", "/mnt/models"), (OCI, "/mnt/models/a/b")],
            [("mnt-models", "/mnt/models", True), ("mnt-models-a", "/mnt/models/a", False)],
            "mnt-models-a",
            id="deep-in-what-is-fetched",
        ),
        pytest.param(
            [("pvc://c/m", "/mnt/a"), (OCI, "/mnt/models")],
            [("mnt-a", "/mnt/a", True), ("mnt", "/mnt", False)],
            "mnt",
            id="above-a-claim",
        ),
    ],
)
def test_it_shares_a_place_with_others(
    rows: list[tuple[str, str]], places: list[tuple[str, str, bool]], link: str
) -> None:
    pod = _pod(_many(*rows))
    assert _places(pod) == places
    assert [volume for _, volume, _ in _links(pod)] == [link]
    assert len({row["name"] for row in pod["volumes"]}) == len(pod["volumes"])


def test_a_pod_that_sees_the_nodes_processes_needs_no_namespace_of_its_own() -> None:
    assert "shareProcessNamespace" not in _pod(_own({"hostPID": True}))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            _own({"shareProcessNamespace": False}),
            "spec.predictor.shareProcessNamespace: false keeps the server from its model",
            id="processes-apart",
        ),
        pytest.param(
            _own({"initContainers": [{"name": "modelcar", "image": "a"}]}),
            "spec.predictor.initContainers[0].name: 'modelcar' is used by an image with a model",
            id="the-name-is-taken",
        ),
        pytest.param(
            _own({}, builders.container("modelcar")),
            "spec.predictor.containers[1].name: 'modelcar' is used by",
            id="the-name-is-taken-by-a-container",
        ),
        pytest.param(
            _own(volumeMounts=[{"name": "a", "mountPath": "/mnt"}]),
            "spec.predictor.containers[0].volumeMounts[0].mountPath: '/mnt' is used by the model",
            id="the-folder-above-is-taken",
        ),
        pytest.param(
            _own(volumeMounts=[{"name": "a", "mountPath": "/mnt/models"}]),
            "spec.predictor.containers[0].volumeMounts[0].mountPath: '/mnt/models' is used by",
            id="the-folder-is-taken",
        ),
        pytest.param(
            _many((OCI, "/model")),
            "spec.predictor.storageUris[0].uri: a model that its image links needs a folder that"
            " is not at the root; write a mountPath such as /mnt/models",
            id="at-the-root",
        ),
        pytest.param(
            _own({}, builders.container("transformer-container", securityContext=ROOT)),
            "spec.predictor.containers[1].securityContext.runAsUser: must be 1010, the server's",
            id="another-user",
        ),
    ],
)
def test_what_cannot_be_is_refused(body: Body, message: str) -> None:
    with pytest.raises(StalledError) as caught:
        _pod(body)
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message.startswith(message)
