import copy
from typing import Any

import pytest

from shoal.api import settings
from shoal.desired import children, configmaps, deployments, ingresses, metadata, roles, shards
from shoal.modelconfig import Model
from support import builders
from support.builders import Body, Json

MODEL = Model("m1", "s3://b/m1", "custom", "1Gi")
PREDICTOR = ["Service", "Service", "Deployment", "HorizontalPodAutoscaler"]
OWNER = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "name": "custom-model-mms",
    "uid": "uid-of-custom-model-mms",
    "controller": True,
    "blockOwnerDeletion": True,
}


def _kinds(body: Body | None = None, config: Body | None = None, **given: Json) -> list[str]:
    return [child["kind"] for child in children.make(builders.wanted(body, config, **given))]


def _class(name: str) -> Body:
    return builders.inference_service(annotations={"serving.kserve.io/autoscalerClass": name})


@pytest.mark.parametrize(
    ("body", "config", "given", "kinds"),
    [
        pytest.param(None, {}, {}, [*PREDICTOR, "Ingress"], id="no-host-yet"),
        pytest.param(
            None,
            {},
            {"is_host": True},
            ["Role", "RoleBinding", "ConfigMap", *PREDICTOR, "Ingress"],
            id="host",
        ),
        pytest.param(
            None, {}, {"entry_service": False}, [*PREDICTOR[1:], "Ingress"], id="name-is-taken"
        ),
        pytest.param(_class("none"), {}, {}, [*PREDICTOR[:3], "Ingress"], id="none"),
        pytest.param(_class("external"), {}, {}, [*PREDICTOR[:3], "Ingress"], id="external"),
        pytest.param(
            builders.inference_service(
                labels={"networking.kserve.io/visibility": "cluster-local"}
            ),
            {},
            {},
            PREDICTOR,
            id="cluster-local",
        ),
        pytest.param(
            None, {"ingress": {"disableIngressCreation": True}}, {}, PREDICTOR, id="disabled"
        ),
        pytest.param(
            None, {"ingress": {"ingressDomain": "svc.cluster.local"}}, {}, PREDICTOR, id="local"
        ),
        pytest.param(
            builders.inference_service(annotations={"serving.kserve.io/stop": "True"}),
            {},
            {"is_host": True},
            [],
            id="stopped",
        ),
    ],
)
def test_kinds(body: Body | None, config: Body, given: Body, kinds: list[str]) -> None:
    assert _kinds(body, config, **given) == kinds


@pytest.mark.weakness("C31")
def test_a_server_alone_keeps_its_accounts_token_as_the_account_says() -> None:
    pod = deployments.make(builders.wanted())["spec"]["template"]["spec"]
    assert "automountServiceAccountToken" not in pod


def test_same_input_same_children_and_nothing_of_it_changed() -> None:
    body = builders.inference_service(
        labels={"a": "b"},
        predictor={"deploymentStrategy": {"type": "Recreate"}, "volumes": [{"name": "v"}]},
    )
    before = copy.deepcopy(body)
    wanted = builders.wanted(body, is_host=True, models=(MODEL,))
    assert children.make(wanted) == children.make(wanted)
    assert body == before


@pytest.mark.weakness("C4")
def test_every_child_is_owned_and_can_be_found_by_its_label() -> None:
    for child in children.make(builders.wanted(is_host=True)):
        meta = child["metadata"]
        assert meta["ownerReferences"] == [OWNER]
        assert meta["namespace"] == "default"
        assert meta["labels"]["serving.kserve.io/inferenceservice"] == "custom-model-mms"


def test_models_roll_no_pod() -> None:
    none = deployments.make(builders.wanted(is_host=True))
    some = deployments.make(builders.wanted(is_host=True, models=(MODEL,), secrets=("s",)))
    assert none == some


def test_labels_of_the_component_win_in_their_order() -> None:
    body = builders.inference_service(
        labels={"a": "1", "b": "1", "app": "mine", "component": "mine"},
        predictor={"labels": {"b": "2", "serving.kserve.io/inferenceservice": "mine"}},
    )
    assert metadata.component_labels(builders.wanted(body)) == {
        "a": "1",
        "b": "2",
        "app": "isvc.custom-model-mms-predictor",
        "component": "predictor",
        "serving.kserve.io/inferenceservice": "custom-model-mms",
    }


@pytest.mark.weakness("C4")
def test_annotations_are_filtered_and_the_predictors_win() -> None:
    body = builders.inference_service(
        annotations={"a": "1", "b": "1", "x": "1", "modelFormat": "sklearn"},
        predictor={"annotations": {"b": "2", "x": "2", "modelFormat": "sklearn"}},
    )
    config = {"inferenceService": {"serviceAnnotationDisallowedList": ["x"]}}
    wanted = builders.wanted(body, config)
    assert metadata.component_annotations(wanted) == {"a": "1", "b": "2"}
    assert metadata.object_annotations(wanted) == {"a": "1", "b": "1"}


def test_labels_that_are_disallowed_are_on_no_object() -> None:
    labels = {"a": "1", "x": "1", "networking.knative.dev/visibility": "cluster-local"}
    body = builders.inference_service(labels=labels, predictor={"labels": {"x": "2"}})
    config = {"inferenceService": {"serviceLabelDisallowedList": ["x"]}}
    for child in children.make(builders.wanted(body, config, is_host=True)):
        found = child["metadata"]["labels"]
        assert found.keys() & labels.keys() == {"a"}
        template = child.get("spec", {}).get("template", {}).get("metadata", {})
        assert template.get("labels", {}).keys() & {"x"} == set()


@pytest.mark.weakness("C32")
def test_builtin_disallowed_annotations_are_always_in_force() -> None:
    annotations = dict.fromkeys(settings.DISALLOWED_ANNOTATIONS, "x")
    body = builders.inference_service(annotations=annotations)
    config = {"inferenceService": {"serviceAnnotationDisallowedList": []}}
    assert metadata.object_annotations(builders.wanted(body, config)) == {}


def test_a_named_predictor_names_its_objects() -> None:
    wanted = builders.wanted(builders.inference_service(predictor={"name": "v2"}))
    names = {child["metadata"]["name"] for child in children.make(wanted)}
    assert names == {"custom-model-mms", "custom-model-mms-v2-predictor"}


def test_the_list_of_models_is_sorted() -> None:
    other = Model("a", "s3://b/a", "custom", "1Gi")
    wanted = builders.wanted(models=(MODEL, other))
    (made,) = configmaps.make(wanted, shards.spread(wanted.models))
    assert made["data"]["models.json"].index('"a"') < made["data"]["models.json"].index('"m1"')


@pytest.mark.parametrize(
    ("annotation", "secrets", "expected"),
    [
        pytest.param("", (), None, id="no-rule-without-secrets"),
        pytest.param("mine", (), ["mine"], id="annotated"),
        pytest.param("mine", ("z", "a"), ["a", "mine", "z"], id="sorted"),
        pytest.param("a", ("a",), ["a"], id="each-once"),
    ],
)
def test_role_names_exactly_the_secrets(
    annotation: str, secrets: tuple[str, ...], expected: list[str] | None
) -> None:
    annotations = {"serving.kserve.io/storageSecretName": annotation}
    body = builders.inference_service(annotations=annotations)
    rules = roles.make(builders.wanted(body, secrets=secrets, is_host=True))["rules"]
    named = {rule["resources"][0]: rule["resourceNames"] for rule in rules}
    assert named.get("secrets") == expected
    assert named["configmaps"] == [f"modelconfig-custom-model-mms-{shard}" for shard in (0, 1)]
    assert named["serviceaccounts"] == ["default"]


@pytest.mark.parametrize(
    ("predictor", "annotation", "expected"),
    [
        pytest.param({"minReplicas": 3}, "none", 3, id="none-keeps-the-minimum"),
        pytest.param({"minReplicas": 0}, "none", 0, id="none-may-be-zero"),
        pytest.param({}, "none", None, id="none-without-a-minimum"),
        pytest.param({"minReplicas": 3}, "hpa", None, id="the-hpa-owns-it"),
        pytest.param({"minReplicas": 3}, "external", None, id="somebody-else-owns-it"),
    ],
)
def test_replicas(predictor: Body, annotation: str, expected: int | None) -> None:
    annotations = {"serving.kserve.io/autoscalerClass": annotation}
    body = builders.inference_service(predictor=predictor, annotations=annotations)
    assert deployments.make(builders.wanted(body))["spec"].get("replicas") == expected


@pytest.mark.weakness("C29")
@pytest.mark.parametrize(
    ("predictor", "rollout", "expected"),
    [
        pytest.param({}, {}, ("25%", "25%"), id="upstreams-default"),
        pytest.param(
            {}, {"maxSurge": "2", "maxUnavailable": "0%"}, (2, "0%"), id="a-number-is-a-number"
        ),
        pytest.param(
            {"deploymentStrategy": {"type": "Recreate"}}, {"maxSurge": "2"}, None, id="the-users"
        ),
    ],
)
def test_strategy(predictor: Body, rollout: Body, expected: tuple[Any, Any] | None) -> None:
    config = {"deploy": {"deploymentRolloutStrategy": {"defaultRollout": rollout}}}
    body = builders.inference_service(predictor=predictor)
    strategy = deployments.make(builders.wanted(body, config))["spec"]["strategy"]
    if expected is None:
        assert strategy == {"type": "Recreate"}
    else:
        rolling = strategy["rollingUpdate"]
        assert (rolling["maxSurge"], rolling["maxUnavailable"]) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({}, None, id="left-to-the-cluster"),
        pytest.param({"ingressClassName": "contour"}, "contour", id="configured"),
    ],
)
def test_ingress_class(config: Body, expected: str | None) -> None:
    made = ingresses.make(builders.wanted(config={"ingress": config}))
    assert made["spec"].get("ingressClassName") == expected


def test_the_first_agent_gets_room_unless_the_user_chose_a_strategy() -> None:
    made = deployments.make(builders.wanted(make_room=True))
    assert made["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    body = builders.inference_service(predictor={"deploymentStrategy": {"type": "Recreate"}})
    chosen = deployments.make(builders.wanted(body, make_room=True))
    assert chosen["spec"]["strategy"] == {"type": "Recreate"}


def test_role_names_the_secrets_of_models_beside_the_others() -> None:
    own = Model("b", "s3://m/b", "sklearn", "1Mi", storage_secret="own")  # noqa: S106
    wanted = builders.wanted(is_host=True, models=(MODEL, own), secrets=("listed",))
    named = {rule["resources"][0]: rule["resourceNames"] for rule in roles.make(wanted)["rules"]}
    assert named["secrets"] == ["listed", "own"]
