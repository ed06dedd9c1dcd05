from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.api import inferenceservices, quantities, settings, trainedmodels
from shoal.api.trainedmodels import TrainedModel
from shoal.desired import admission
from shoal.errors import StalledError
from support import builders
from support.builders import Body

CONFIG = settings.ServingConfig()
GI = 2**30


def _model(name: str, memory: str, second: int = 0) -> TrainedModel:
    created = f"2026-11-21T10:00:{second:02}Z"
    return trainedmodels.parse(
        builders.trained_model(name, memory=memory, creationTimestamp=created)
    )


MODELS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3)), min_size=0, max_size=12).map(
    lambda rows: [
        _model(f"m{index}", f"{memory}Mi", second) for index, (memory, second) in enumerate(rows)
    ]
)
ADMITTED = st.sets(st.sampled_from([f"m{index}" for index in range(12)]))
LIMIT = st.integers(0, 300).map(lambda mebi: Decimal(mebi * 2**20))


@pytest.mark.parametrize(
    ("rows", "limit", "admitted", "chosen"),
    [
        pytest.param([("a", "1Gi", 0)], None, (), {"a"}, id="no-limit-admits-all"),
        pytest.param([("a", "1Gi", 0)], GI, (), {"a"}, id="a-model-as-big-as-the-limit-fits"),
        pytest.param([("a", "1025Mi", 0)], GI, (), set(), id="a-model-above-the-limit-does-not"),
        pytest.param(
            [("b", "600Mi", 1), ("a", "600Mi", 2)], GI, (), {"b"}, id="the-older-one-comes-first"
        ),
        pytest.param(
            [("b", "600Mi", 1), ("a", "600Mi", 1)], GI, (), {"a"}, id="of-equal-age-by-name"
        ),
        pytest.param(
            [("a", "600Mi", 1), ("b", "600Mi", 2)], GI, {"b"}, {"b"}, id="the-admitted-stays"
        ),
        pytest.param(
            [("a", "900Mi", 1), ("b", "900Mi", 2), ("c", "100Mi", 3)],
            GI,
            {"a", "b"},
            {"a", "c"},
            id="the-limit-shrank-and-the-younger-goes",
        ),
        pytest.param(
            [("a", "2Gi", 1), ("b", "1Mi", 2)], GI, (), {"b"}, id="too-big-keeps-no-small-one-out"
        ),
    ],
)
def test_admits(
    rows: list[tuple[str, str, int]], limit: int | None, admitted: set[str], chosen: set[str]
) -> None:
    models = [_model(*row) for row in rows]
    bound = None if limit is None else Decimal(limit)
    assert admission.admit(models, bound, admitted) == chosen


@pytest.mark.parametrize(
    ("limits", "room"),
    [
        pytest.param([], None, id="no-pod"),
        pytest.param([None], None, id="without-a-limit"),
        pytest.param(["2Gi"], None, id="the-limit"),
        pytest.param(["3Gi"], None, id="more"),
        pytest.param(["2Gi", "1Gi", "1536Mi"], GI, id="the-smallest-counts"),
    ],
)
def test_a_raised_limit_is_there_when_every_pod_has_it(
    limits: list[str | None], room: int | None
) -> None:
    pods = []
    for limit in limits:
        resources = {"limits": {"memory": limit}} if limit else {}
        agent = {"name": "agent", "resources": {"limits": {"memory": "1Mi"}}}
        box = {"name": "kserve-container", "resources": resources}
        pods.append({"spec": {"containers": [agent, box]}, "status": {"phase": "Running"}})
    assert admission.room(Decimal(2 * GI), pods) == room
    assert admission.room(None, pods) is None
    for pod in pods:
        pod["status"]["phase"] = "Pending"
    assert admission.room(Decimal(2 * GI), pods) is None, "nothing is loaded there"


@pytest.mark.parametrize(
    ("admitted", "chosen"),
    [
        pytest.param({"a", "b"}, {"a", "b", "d"}, id="what-fits-into-the-least-comes-in"),
        pytest.param({"a", "b", "c"}, {"a", "b", "c"}, id="what-is-in-stays"),
    ],
)
def test_nothing_comes_in_above_what_a_pod_still_has(admitted: set[str], chosen: set[str]) -> None:
    rows = [("a", "400Mi", 1), ("b", "400Mi", 2), ("c", "400Mi", 3), ("d", "200Mi", 4)]
    models = [_model(*row) for row in rows]
    assert admission.admit(models, Decimal(2 * GI), admitted, Decimal(GI)) == chosen


@given(MODELS, LIMIT, ADMITTED)
def test_the_sum_is_never_above_the_limit(
    models: list[TrainedModel], limit: Decimal, admitted: set[str]
) -> None:
    chosen = admission.admit(models, limit, admitted)
    assert admission.used(models, chosen) <= limit


@given(MODELS, LIMIT, ADMITTED)
def test_a_second_pass_changes_nothing(
    models: list[TrainedModel], limit: Decimal, admitted: set[str]
) -> None:
    once = admission.admit(models, limit, admitted)
    assert admission.admit(models, limit, once) == once


@given(MODELS, LIMIT, ADMITTED)
def test_admitted_models_that_fit_stay(
    models: list[TrainedModel], limit: Decimal, admitted: set[str]
) -> None:
    present = {model.metadata.name for model in models} & admitted
    if admission.used(models, present) <= limit:
        assert present <= admission.admit(models, limit, admitted)


@given(MODELS, LIMIT, ADMITTED)
def test_nothing_that_fits_is_left_out(
    models: list[TrainedModel], limit: Decimal, admitted: set[str]
) -> None:
    chosen = admission.admit(models, limit, admitted)
    left = limit - admission.used(models, chosen)
    out = [model for model in models if model.metadata.name not in chosen]
    assert all(quantities.parse(model.memory) > left for model in out)


@pytest.mark.weakness("C18")
@pytest.mark.parametrize(
    ("resources", "config", "limit"),
    [
        pytest.param({}, {}, 2 * GI, id="the-default-without-any"),
        pytest.param({"limits": {"memory": "1Gi"}}, {}, GI, id="the-users"),
        pytest.param({"requests": {"memory": "3Gi"}}, {}, 3 * GI, id="raised-to-the-request"),
        pytest.param({"limits": {"memory": 0}}, {}, None, id="zero-is-no-limit"),
        pytest.param({}, {"memoryLimit": "0"}, None, id="no-default-is-no-limit"),
    ],
)
def test_effective_limit(resources: Body, config: Body, limit: int | None) -> None:
    service = inferenceservices.parse(
        builders.inference_service(containers=[builders.container(resources=resources)])
    )
    serving = settings.ServingConfig.model_validate({"inferenceService": {"resource": config}})
    assert admission.limit(builders.server(service), serving) == limit


def test_a_limit_that_is_no_quantity_is_refused_by_its_path() -> None:
    bad = builders.container(resources={"limits": {"memory": "much"}})
    service = inferenceservices.parse(builders.inference_service(containers=[bad]))
    with pytest.raises(StalledError, match=r"spec.predictor.containers\[0\].resources: memory"):
        admission.limit(builders.server(service), CONFIG)
