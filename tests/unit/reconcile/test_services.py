"""State in, one pass, state out; every row's second pass writes nothing."""

from collections.abc import Callable

import pytest

from shoal import modelconfig
from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import ApiError, Body
from shoal.modelstates import Report, State
from support import builders
from support.fakes import FakeAgents, FakeCluster
from support.passes import KEY, World, until_loaded, wanted_model


@pytest.fixture
def world() -> World:
    made = World(FakeCluster(), FakeAgents())
    made.cluster.put(builders.inference_service())
    return made


async def test_a_service_without_models_gets_a_predictor_and_no_agent(world: World) -> None:
    await world.run()
    assert world.names(kinds.DEPLOYMENT) == ["custom-model-mms-predictor"]
    assert world.names(kinds.SERVICE) == ["custom-model-mms", "custom-model-mms-predictor"]
    assert world.names(kinds.CONFIG_MAP) == []
    boxes = world.one(kinds.DEPLOYMENT, "custom-model-mms-predictor")["spec"]["template"]["spec"]
    assert [box["name"] for box in boxes["containers"]] == ["kserve-container"]
    assert world.service()[0] == "False"


async def test_a_model_makes_its_service_a_host(world: World) -> None:
    world.cluster.put(builders.trained_model())
    await world.run()
    config = world.one(kinds.CONFIG_MAP, "modelconfig-custom-model-mms-0")
    assert [model.name for model in modelconfig.decode(config["data"])] == ["model1-custom"]
    assert world.names(kinds.ROLE) == ["custom-model-mms-agent"]


async def test_ready_means_loaded(world: World) -> None:
    await until_loaded(world)
    assert world.service() == ("True", "")
    assert world.model() == ("True", "")
    status = world.one(kinds.TRAINED_MODEL, "model1-custom")["status"]
    assert status["copies"]["summary"] == "1/1"
    host = "http://custom-model-mms.default.example.com"
    assert status["url"] == f"{host}/v2/models/model1-custom/infer"
    assert world.one(kinds.INFERENCE_SERVICE, KEY[1])["status"]["models"]["summary"] == "1/1"


async def test_a_settled_service_costs_no_write(world: World) -> None:
    await until_loaded(world)
    world.cluster.writes.clear()
    world.seconds = 3600
    assert await world.run() is None
    assert world.cluster.writes == []


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param(None, ("Unknown", "AgentUnreachable"), id="no-answer-is-unknown"),
        pytest.param(
            builders.report(), ("False", "Pending"), id="an-agent-that-knows-nothing-is-pending"
        ),
        pytest.param(
            builders.report(
                model1__custom=builders.model_state(
                    State.FAILED,
                    wanted_model(),
                    reason="ModelLoadFailed",
                    message="the server said no",
                )
            ),
            ("False", "ModelLoadFailed"),
            id="a-failure-is-told",
        ),
    ],
)
async def test_what_was_true_is_not_told_on(
    world: World, report: Report | None, expected: tuple[str, str]
) -> None:
    await until_loaded(world)
    world.agents.reports.clear()
    if report is not None:
        world.say(report)
    await world.run()
    assert world.model("ModelLoaded") == expected
    assert world.model() == expected


async def test_a_restart_calls_nothing_unknown_before_it_has_asked(world: World) -> None:
    await until_loaded(world)
    heard = world.agents.reports.copy()
    world.agents.reports.clear()
    world.agents.unheard.add("uid-of-pod-a")
    world.cluster.writes.clear()

    await world.run()

    assert world.cluster.writes == []
    world.agents.unheard.clear()
    world.agents.reports |= heard
    await world.run()
    assert world.cluster.writes == []


async def test_a_new_pod_that_is_ready_without_the_model_is_a_lie_avoided(world: World) -> None:
    await until_loaded(world)
    world.add_pod("pod-b", agent=False)
    await world.run()
    assert world.model()[0] == "False"
    assert world.one(kinds.TRAINED_MODEL, "model1-custom")["status"]["copies"]["summary"] == "1/2"


async def test_an_ending_pod_without_an_agent_counts_until_it_is_not_ready(world: World) -> None:
    await until_loaded(world)
    world.add_pod("pod-old", agent=False)
    old = world.one(kinds.POD, "pod-old")
    old["metadata"]["deletionTimestamp"] = builders.CREATED
    await world.run()
    assert world.model()[0] == "False"
    old["status"]["conditions"] = [builders.condition("Ready", "False")]
    await world.run()
    assert world.model()[0] == "True"


async def test_a_new_pod_that_is_not_ready_is_counted_and_changes_nothing(world: World) -> None:
    await until_loaded(world)
    world.add_pod("pod-b", ready=False)
    await world.run()
    assert world.model()[0] == "True"
    assert world.one(kinds.TRAINED_MODEL, "model1-custom")["status"]["copies"]["summary"] == "1/2"


async def test_a_service_that_grows_is_not_ready_and_its_models_are(world: World) -> None:
    await until_loaded(world)
    deployment = world.one(kinds.DEPLOYMENT, f"{builders.SERVICE}-predictor")
    too_few = builders.condition("Available", "False", "MinimumReplicasUnavailable", "1 of 2")
    deployment["status"] = {"conditions": [too_few]}
    world.cluster.writes.clear()
    await world.run()
    assert world.service() == ("False", "MinimumReplicasUnavailable")
    assert world.model() == ("True", "")
    assert world.cluster.writes == [("apply status", "InferenceService", builders.SERVICE)]


async def test_a_passing_state_is_held_back_for_a_second(world: World) -> None:
    world.cluster.put(builders.trained_model())
    remaining = await world.run()
    assert remaining == pytest.approx(1.0)
    assert "status" not in world.one(kinds.TRAINED_MODEL, "model1-custom")
    world.seconds = 1.0
    assert await world.hands.reconcile(KEY) is None
    assert world.model()[0] == "False"


async def test_the_more_pass_the_longer_they_are_held_back(world: World) -> None:
    many = [builders.trained_model(f"m{number:03}", memory="1Ki") for number in range(150)]
    for body in many:
        world.cluster.put(body)
    await world.run()
    world.seconds = 2.9
    await world.hands.reconcile(KEY)
    assert "status" not in world.one(kinds.TRAINED_MODEL, "m000")
    world.seconds = 3.0
    await world.hands.reconcile(KEY)
    assert {world.model(name=body["metadata"]["name"])[0] for body in many} == {"False"}


async def test_a_model_without_its_service_waits_and_is_served_later() -> None:
    world = World(FakeCluster(), FakeAgents())
    world.cluster.put(builders.trained_model())
    await world.run()
    world.seconds = 1.0
    await world.hands.reconcile(KEY)
    assert world.model() == ("False", "InferenceServiceNotFound")
    world.cluster.put(builders.inference_service())
    await world.run()
    assert world.names(kinds.CONFIG_MAP) == ["modelconfig-custom-model-mms-0"]


async def test_a_model_that_arrives_during_a_pass_is_left_to_the_next(world: World) -> None:
    late = builders.trained_model()
    world.cluster.on_apply = lambda: world.store.put(kinds.TRAINED_MODEL, late)

    await world.run()

    assert world.service() == ("False", "DeploymentPending")
    assert not world.names(kinds.TRAINED_MODEL)


async def test_a_model_that_leaves_during_a_pass_is_no_error(world: World) -> None:
    for body in (builders.trained_model(), builders.trained_model("broken", memory="a lot")):
        world.cluster.put(body)

    def leave() -> None:
        for name in ("model1-custom", "broken"):
            world.store.remove(kinds.TRAINED_MODEL, "default", name)

    world.cluster.on_apply = leave

    await world.run()

    assert world.service() == ("False", "DeploymentPending")


async def test_the_last_model_leaves_and_no_pod_is_rolled(world: World) -> None:
    await until_loaded(world)
    before = world.one(kinds.DEPLOYMENT, "custom-model-mms-predictor")["spec"]
    del world.cluster.objects["trainedmodels", "default", "model1-custom"]
    await world.run()
    assert world.one(kinds.DEPLOYMENT, "custom-model-mms-predictor")["spec"] == before
    config = world.one(kinds.CONFIG_MAP, "modelconfig-custom-model-mms-0")
    assert config["data"] == {"models.json": "[]"}


def foreign(kind: Kind, name: str) -> Body:
    meta = builders.metadata(name, labels={"serving.kserve.io/inferenceservice": "x"})
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": {}}


@pytest.mark.parametrize(
    "kind",
    [kinds.DEPLOYMENT, kinds.SERVICE, kinds.AUTOSCALER],
    ids=lambda kind: kind.kind,
)
async def test_what_is_somebody_elses_is_left_alone(world: World, kind: Kind) -> None:
    world.cluster.put(foreign(kind, "custom-model-mms-predictor"))
    await world.run()
    assert world.service("PredictorReady") == ("False", "NotOwned")
    assert (world.one(kind, "custom-model-mms-predictor"))["spec"] == {}
    assert world.cluster.events().count("NotOwned") == 1
    assert await world.run() == 30, "nothing tells when it is gone"
    assert world.cluster.events().count("NotOwned") == 1


async def test_a_taken_entry_name_leaves_out_that_service_alone(world: World) -> None:
    world.cluster.put(foreign(kinds.SERVICE, builders.SERVICE))
    await world.run()
    assert world.one(kinds.SERVICE, builders.SERVICE)["spec"] == {}
    assert world.names(kinds.DEPLOYMENT) == ["custom-model-mms-predictor"]
    assert world.cluster.events().count("NameTaken") == 1
    assert await world.run() == 30, "nothing tells when it is free"
    assert world.cluster.events().count("NameTaken") == 1


@pytest.mark.parametrize("kind", kinds.CHILDREN, ids=lambda kind: kind.kind)
async def test_a_refused_child_is_told_and_tried_again(world: World, kind: Kind) -> None:
    world.cluster.put(builders.trained_model())
    world.cluster.refuse["apply", kind.kind] = ApiError(403, "Forbidden", "exceeded quota")
    with pytest.raises(ApiError):
        await world.run()
    assert world.service("PredictorReady") == ("False", "ReconcileFailed")
    world.cluster.refuse.clear()
    await world.run()
    assert world.service("PredictorReady")[1] != "ReconcileFailed"


@pytest.mark.parametrize("status", [400, 422])
async def test_an_invalid_child_is_told_and_seldom_tried_again(world: World, status: int) -> None:
    """A policy that refuses it today may be gone tomorrow, and nothing tells."""
    world.cluster.refuse["apply", "Deployment"] = ApiError(status, "Invalid", "requests > limits")
    assert await world.run() == 30
    assert world.service() == ("False", "ReconcileFailed")
    world.cluster.refuse.clear()
    assert await world.run() is None
    assert world.service("PredictorReady")[1] != "ReconcileFailed"


async def test_a_stopped_service_keeps_its_list_of_models_only(world: World) -> None:
    await until_loaded(world)
    service = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    service["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    await world.run()
    left = {plural for plural, _, _ in world.cluster.objects} & {
        kind.plural for kind in kinds.CHILDREN
    }
    assert left == {"configmaps"}
    assert world.service() == ("False", "Stopped")


@pytest.mark.weakness("C1")
async def test_children_that_we_did_not_make_are_never_deleted(world: World) -> None:
    await until_loaded(world)
    body = foreign(kinds.SERVICE, "custom-model-mms-debug")
    owner = world.one(kinds.SERVICE, builders.SERVICE)["metadata"]["ownerReferences"]
    body["metadata"] |= {
        "ownerReferences": owner,
        "labels": {"serving.kserve.io/inferenceservice": builders.SERVICE},
    }
    world.cluster.put(body)
    await world.run()
    assert "custom-model-mms-debug" in world.names(kinds.SERVICE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda body: body["spec"]["predictor"].update(sklearn={"storageUri": "hdfs://a/b"}),
            "NotSupported",
            id="a-framework",
        ),
        pytest.param(
            lambda body: body["spec"]["predictor"].update(minReplicas=3, maxReplicas=1),
            "InvalidSpec",
            id="replicas",
        ),
    ],
)
async def test_a_spec_that_cannot_be_served_is_told(
    world: World, change: Callable[[Body], None], reason: str
) -> None:
    service = builders.inference_service(containers=[] if reason == "NotSupported" else None)
    change(service)
    world.cluster.put(service)
    assert await world.run() is None
    assert world.service()[1] == reason
    assert world.names(kinds.DEPLOYMENT) == []
    world.cluster.writes.clear()
    await world.run()
    assert world.cluster.writes == []


async def test_a_service_that_cannot_be_read_leaves_its_models_told(world: World) -> None:
    await until_loaded(world)
    broken = world.one(kinds.INFERENCE_SERVICE, builders.SERVICE)
    broken["spec"]["predictor"].update(minReplicas=3, maxReplicas=1)
    await world.run()
    assert world.service() == ("False", "InvalidSpec")
    assert world.model() == ("False", "InferenceServiceNotReady")
    assert world.model("ModelLoaded")[0] == "True"


def with_account(world: World) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "secrets": [{"name": "store"}]}
    world.cluster.put(account | {"metadata": builders.metadata("default")})


def granted(world: World) -> list[str]:
    rules = world.one(kinds.ROLE, "custom-model-mms-agent")["rules"]
    return [
        name for rule in rules if "secrets" in rule["resources"] for name in rule["resourceNames"]
    ]


async def test_agents_may_read_the_secrets_that_their_account_lists(world: World) -> None:
    with_account(world)
    world.cluster.put(builders.trained_model())
    await world.run()
    assert granted(world) == ["store"]


async def test_agents_may_read_the_authority_that_their_account_names(world: World) -> None:
    note = {"serving.kserve.io/s3-cabundle-configmap": "ca"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    world.cluster.put(account | {"metadata": builders.metadata("default", annotations=note)})
    world.cluster.put(builders.trained_model())
    await world.run()
    rules = world.one(kinds.ROLE, "custom-model-mms-agent")["rules"]
    wanted = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["ca"]}
    assert {**wanted, "verbs": ["get"]} in rules


async def test_a_right_that_the_operator_does_not_hold_is_not_passed_on(world: World) -> None:
    world.process = builders.process({"SHOAL_SECRET_NAMESPACES": "elsewhere"})
    with_account(world)
    world.cluster.put(builders.trained_model())
    await world.run()
    assert granted(world) == []


async def test_a_namespace_that_is_being_deleted_is_left_in_peace(world: World) -> None:
    words = frozenset({"NamespaceTerminating"})
    farewell = ApiError(403, "Forbidden", "it is being terminated", words)
    world.cluster.refuse["apply", "Service"] = farewell
    world.cluster.refuse["create", "Event"] = farewell
    assert await world.run() is None
    assert world.service("PredictorReady") != ("False", "ReconcileFailed")
