from email.message import Message
from typing import Any

import pytest

import front

KSERVES = """inference_address=http://0.0.0.0:8085
 management_address = http://0.0.0.0:8085
metrics_address=http://0.0.0.0:8082
enable_envvars_config=true
model_snapshot={"name":"startup.cfg","models":{"m":{"1.0":{"minWorkers":1}}}}
"""
OWN = [
    "inference_address=http://127.0.0.1:8085",
    "management_address=http://127.0.0.1:8081",
    "metrics_address=http://0.0.0.0:8082",
    "disable_token_authorization=true",
]


def test_a_config_that_was_made_for_kserve_keeps_all_but_its_addresses() -> None:
    assert front.rewritten(KSERVES, {}).splitlines() == [*KSERVES.splitlines()[3:], *OWN]


def test_the_envelope_is_the_runtimes() -> None:
    made = front.rewritten("service_envelope=body\n", {"TS_SERVICE_ENVELOPE": "kservev2"})
    assert made.splitlines() == [*OWN, "service_envelope=kservev2"]
    assert front.rewritten("service_envelope=body", {}).splitlines()[0] == "service_envelope=body"


@pytest.mark.parametrize(
    ("versions", "loaded"),
    [
        ([], False),
        ([{"workers": []}], False),
        ([{}], False),
        ([{"workers": [{"status": "UNLOADING"}]}], False),
        ([{"workers": [{"status": "UNLOADING"}, {"status": "READY"}]}], True),
        ([{"workers": [{"status": "READY"}]}, {"workers": []}], False),
    ],
    ids=["none", "no-worker", "nothing-said", "not-yet", "one-of-two", "one-version-of-two"],
)
def test_a_model_is_loaded_once_each_version_has_a_worker(
    versions: list[dict[str, Any]], *, loaded: bool
) -> None:
    assert front.are_loaded(versions) is loaded


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, "application/json"),
        ("application/x-www-form-urlencoded", "application/json"),
        ("application/json", "application/json"),
        ("image/png", "image/png"),
    ],
)
def test_a_body_of_which_nothing_is_said_is_json(given: str | None, sent: str) -> None:
    assert front.content_type(given) == sent


def test_headers_are_passed_on_whatever_case_an_ingress_writes_them_in() -> None:
    given = Message()
    for name, value in {
        "host": "a.b",
        "content-type": front.UNSAID,
        "content-length": "3",
    }.items():
        given[name] = value
    said = {"host": "a.b", "Content-Type": "application/json"}
    assert front.passed_on(given, has_body=True) == said
    assert front.passed_on(given, has_body=False) == {"host": "a.b"}
