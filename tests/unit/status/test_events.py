import pytest

from shoal.status import events
from support import builders
from support.builders import Body


def _status(**rows: str | tuple[str, str]) -> Body:
    made = []
    for kind, value in rows.items():
        status, reason = value if isinstance(value, tuple) else (value, "")
        severity = {"severity": "Info"} if kind in ("Stopped", "FieldsHonoured") else {}
        made.append(builders.condition(kind, status, reason, f"{reason} said") | severity)
    return {"conditions": made}


READY = _status(Ready="True", PredictorReady="True", IngressReady="True", Stopped="False")
DOWN = _status(
    IngressReady=("False", "A"),
    PredictorReady=("False", "B"),
    Ready=("False", "B"),
    Stopped="False",
)
MISSPELT: Body = {
    "conditions": [
        builders.condition("FieldsHonoured", "True", "FieldsMisspelt") | {"severity": "Warning"}
    ]
}
UNKNOWN = _status(Ready=("Unknown", "A"), PredictorReady=("Unknown", "A"))
NOT_READY = (
    "Warning",
    "InferenceServiceNotReady",
    "InferenceService [s] is no longer Ready because of: IngressReady, PredictorReady",
)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param({}, READY, [("Normal", "InferenceServiceReady")], id="became-ready"),
        pytest.param(DOWN, READY, [("Normal", "InferenceServiceReady")], id="ready-again"),
        pytest.param(READY, READY, [], id="still-ready"),
        pytest.param(READY, DOWN, [NOT_READY[:2]], id="no-longer-ready"),
        pytest.param({}, DOWN, [], id="not-ready-from-the-start"),
        pytest.param(UNKNOWN, DOWN, [], id="not-ready-from-unknown"),
        pytest.param(READY, UNKNOWN, [], id="unknown-from-ready"),
        pytest.param(
            DOWN,
            _status(PredictorReady=("False", "InvalidSpec")),
            [("Warning", "InvalidSpec")],
            id="spec-refused",
        ),
        pytest.param(
            _status(PredictorReady=("False", "InvalidSpec")),
            _status(PredictorReady=("False", "InvalidSpec")),
            [],
            id="spec-still-refused",
        ),
        pytest.param(
            _status(PredictorReady=("False", "InvalidSpec")),
            _status(PredictorReady=("False", "NotOwned")),
            [("Warning", "NotOwned")],
            id="another-reason",
        ),
        pytest.param(
            {}, _status(PredictorReady=("False", "FailedCreate")), [], id="the-deployments-own"
        ),
        pytest.param(
            {},
            _status(FieldsHonoured=("False", "FieldsIgnored")),
            [("Warning", "FieldsIgnored")],
            id="fields-ignored",
        ),
        pytest.param({}, MISSPELT, [("Warning", "FieldsMisspelt")], id="fields-misspelt"),
        pytest.param(MISSPELT, MISSPELT, [], id="fields-still-misspelt"),
        pytest.param(
            {},
            _status(EntryServiceReady=("False", "NameTaken")),
            [("Warning", "NameTaken")],
            id="name-taken",
        ),
    ],
)
def test_of_inference_service(old: Body, new: Body, expected: list[tuple[str, str]]) -> None:
    made = events.of_inference_service("s", old, new)
    assert [(one.type, one.reason) for one in made] == expected


def test_upstreams_words() -> None:
    (down,) = events.of_inference_service("s", READY, DOWN)
    (up,) = events.of_inference_service("s", {}, READY)
    assert (down.type, down.reason, down.message) == NOT_READY
    assert up.message == "InferenceService [s] is Ready"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param({}, _status(ModelLoaded="True"), [], id="loaded-at-once"),
        pytest.param(
            _status(ModelLoaded=("False", "Loading")),
            _status(ModelLoaded="True"),
            [],
            id="loaded-after-a-while",
        ),
        pytest.param(
            _status(ModelLoaded=("False", "ModelLoadFailed")),
            _status(ModelLoaded="True"),
            [("Normal", "ModelLoaded")],
            id="loaded-after-a-failure",
        ),
        pytest.param(
            _status(ModelLoaded="True"), _status(ModelLoaded="True"), [], id="still-loaded"
        ),
        *(
            pytest.param({}, _status(ModelLoaded=("False", reason)), [], id=f"passing-{reason}")
            for reason in ("Pending", "Downloading", "Loading", "NoReadyReplica", "NotAdmitted")
        ),
        pytest.param(
            _status(ModelLoaded=("False", "Loading")),
            _status(ModelLoaded=("False", "ModelLoadFailed")),
            [("Warning", "ModelLoadFailed")],
            id="failed",
        ),
        pytest.param(
            _status(ModelLoaded=("False", "ModelLoadFailed")),
            _status(ModelLoaded=("False", "ModelLoadFailed")),
            [],
            id="failed-as-before",
        ),
        pytest.param(
            _status(ModelLoaded=("Unknown", "ModelLoadFailed")),
            _status(ModelLoaded=("False", "ModelLoadFailed")),
            [("Warning", "ModelLoadFailed")],
            id="failed-after-unknown",
        ),
        pytest.param(
            {},
            _status(
                MemoryResourceAvailable=("False", "MemoryResourceNotAvailable"),
                ModelLoaded=("False", "NotAdmitted"),
            ),
            [("Warning", "MemoryResourceNotAvailable")],
            id="too-big",
        ),
        pytest.param(
            {},
            _status(InferenceServiceReady=("False", "InferenceServiceNotFound")),
            [("Warning", "InferenceServiceNotFound")],
            id="no-parent",
        ),
        pytest.param(
            {},
            _status(InferenceServiceReady=("False", "InferenceServiceNotReady")),
            [],
            id="parent-not-ready",
        ),
        pytest.param({}, _status(IsMMSPredictor=("False", "X")), [("Warning", "X")], id="no-host"),
    ],
)
def test_of_trained_model(old: Body, new: Body, expected: list[tuple[str, str]]) -> None:
    made = events.of_trained_model(old, new)
    assert [(one.type, one.reason) for one in made] == expected


def test_a_warning_carries_the_conditions_words() -> None:
    (made,) = events.of_trained_model({}, _status(ModelLoaded=("False", "StoreFull")))
    assert made.message == "StoreFull said"
