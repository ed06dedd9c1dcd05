"""What one replica does with its models; the list comes from the mounted file."""

import signal
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from shoal.modelstates import State
from support.agentrigs import artefact, post, until

RigFixture = Any  # conftest's Rig; a conftest cannot be imported by name


def test_models_are_loaded_and_answer(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    rig.start(one, two)
    report = rig.agent.loaded(one, two)
    assert {state.state for state in report.models.values()} == {State.LOADED}
    assert (rig.server.predict("one"), rig.server.predict("two")) == (1.0, 2.0)
    assert rig.agent.status("/readyz") == 200
    messages = [line["message"] for line in rig.agent.lines()]
    assert "downloading model from s3://models/one" in messages
    assert "loaded model one" in messages


def test_a_model_that_is_not_wanted_any_more_is_unloaded(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    rig.start(one, two)
    rig.agent.loaded(one, two)
    rig.agent.want_by_file(two)
    rig.agent.loaded(two)
    assert rig.server.predict("one") is None
    assert rig.server.predict("two") == 2.0
    assert [path.name for path in (rig.agent.folder / "models").iterdir()] == ["two"]


def test_identical_artefacts_are_stored_once(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 1.0)
    rig.start(one, two)
    rig.agent.loaded(one, two)
    assert len(list((rig.agent.folder / "store" / "trees").iterdir())) == 1


@pytest.mark.weakness("M3")
def test_updates_there_and_back_lose_no_request(rig: RigFixture) -> None:
    first, second = rig.upload("first", 1.0), rig.upload("second", 2.0)
    a, b = replace(first, name="m"), replace(second, name="m")
    rig.start(a)
    rig.agent.loaded(a)
    answers: list[float | None] = []
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            answers.append(rig.server.predict("m"))
            time.sleep(0.005)

    client = threading.Thread(target=hammer)
    client.start()
    try:
        for wish in (b, a, b, a):
            rig.agent.want_by_file(wish)
            rig.agent.loaded(wish)
    finally:
        stop.set()
        client.join()
    assert set(answers) == {1.0, 2.0}
    assert rig.server.predict("m") == 1.0
    downloads = [line for line in rig.agent.lines() if "downloading" in line["message"]]
    assert len(downloads) == 2  # one for each version; the ways back fetched nothing
    assert rig.server.loads() == 5


def test_a_bad_update_keeps_the_old_version_and_heals(rig: RigFixture) -> None:
    good = replace(rig.upload("good", 1.0), name="m")
    bad = replace(rig.upload("bad", b"no joblib at all"), name="m")
    rig.start(good)
    rig.agent.loaded(good)
    rig.agent.want_by_file(bad)
    state = rig.agent.state("m", lambda seen: seen.state is State.FAILED)
    assert (state.loaded, state.reason) == (good.digest, "ModelLoadFailed")
    assert "model.joblib" in state.message
    assert state.next_try
    assert rig.server.predict("m") == 1.0
    assert rig.agent.status("/readyz") == 200
    rig.upload("bad", 3.0)
    rig.agent.loaded(bad)
    assert rig.server.predict("m") == 3.0


@pytest.mark.weakness("M18")
def test_one_bad_model_leaves_the_others_alone(make_rig: Any) -> None:
    rig = make_rig(SHOAL_FIRST_SET_SECONDS="1")
    good, bad = rig.upload("good", 1.0), rig.upload("bad", b"rubbish")
    rig.start(good, bad)
    rig.agent.state("good", lambda seen: seen.loaded == good.digest)
    state = rig.agent.state("bad", lambda seen: seen.state is State.FAILED)
    assert state.loaded == ""
    assert not (rig.agent.folder / "models" / "bad").exists()
    until(lambda: rig.agent.status("/readyz") == 200)
    rig.upload("bad", 2.0)
    rig.agent.loaded(good, bad)


def test_a_missing_model_is_said_to_be_missing_and_heals(rig: RigFixture) -> None:
    model = replace(rig.upload("there", 1.0), storage_uri="s3://models/missing")
    rig.start(model)
    state = rig.agent.state("there", lambda seen: seen.state is State.FAILED)
    assert state.reason == "ModelNotFound"
    assert state.message.startswith("s3://models/missing: no such object or folder at http://")
    assert rig.agent.status("/readyz") == 200  # it failed for good: no reason to hold back
    rig.bucket.put("missing/model.joblib", artefact(1.0))
    rig.agent.loaded(model)


@pytest.mark.weakness("M2")
def test_a_bucket_that_is_down_heals_when_it_is_back(rig: RigFixture) -> None:
    model = rig.upload("one", 1.0)
    rig.bucket.process.end()
    rig.start(model)
    state = rig.agent.state("one", lambda seen: seen.state is State.FAILED)
    assert state.reason == "StorageUnavailable"
    assert f"{rig.bucket.endpoint} cannot be reached" in state.message
    assert rig.agent.status("/readyz") == 503
    rig.bucket.start()
    rig.agent.loaded(model)


def test_wrong_keys_are_named_without_the_secret(make_rig: Any) -> None:
    rig = make_rig(AWS_SECRET_ACCESS_KEY="very-wrong-secret")  # noqa: S106 - a wrong one
    model = rig.upload("one", 1.0)
    rig.start(model)
    state = rig.agent.state("one", lambda seen: seen.state is State.FAILED)
    assert state.reason == "CredentialsRefused"
    assert f"{rig.bucket.endpoint} refused access key shoal-access" in state.message
    assert "SignatureDoesNotMatch" in state.message
    assert "very-wrong-secret" not in rig.agent.process.log.read_text() + state.message


def test_no_keys_at_all_says_how_to_give_some(make_rig: Any) -> None:
    rig = make_rig(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    rig.start(rig.upload("one", 1.0))
    state = rig.agent.state("one", lambda seen: seen.state is State.FAILED)
    assert state.reason == "CredentialsNotFound"
    assert "refused anonymous access" in state.message


@pytest.mark.weakness("M7")
def test_a_server_that_is_killed_gets_its_models_back(rig: RigFixture) -> None:
    models = [rig.upload(f"m{number}", float(number)) for number in range(5)]
    rig.start(*models)
    rig.agent.loaded(*models)
    rig.server.process.end()
    rig.agent.see(lambda seen: not any(state.loaded for state in seen.models.values()))
    assert rig.agent.status("/readyz") == 503
    rig.server.start()
    rig.agent.loaded(*models)
    assert [rig.server.predict(model.name) for model in models] == [0.0, 1.0, 2.0, 3.0, 4.0]
    until(lambda: rig.agent.status("/readyz") == 200)


def test_a_model_that_the_server_lost_is_loaded_again(rig: RigFixture) -> None:
    model = rig.upload("one", 1.0)
    rig.start(model)
    first = rig.agent.loaded(model).models["one"]
    post(f"http://127.0.0.1:{rig.server.port}/v2/repository/models/one/unload", b"{}")
    # What was between may have been too short to be told.
    rig.agent.state("one", lambda seen: seen.loaded == first.loaded and seen.since > first.since)
    assert rig.server.predict("one") == 1.0


def test_a_killed_agent_loads_and_downloads_nothing_again(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    rig.start(one, two)
    rig.agent.loaded(one, two)
    rig.agent.process.end()
    rig.bucket.process.end()
    rig.agent.start()
    rig.agent.loaded(one, two)
    assert rig.server.loads() == 2
    until(lambda: rig.agent.status("/readyz") == 200)


def test_wishes_change_while_the_agent_is_dead(rig: RigFixture) -> None:
    old, gone = rig.upload("old", 1.0), rig.upload("gone", 2.0)
    new = replace(rig.upload("new", 3.0), name="old")
    rig.start(old, gone)
    rig.agent.loaded(old, gone)
    rig.agent.process.end()
    rig.agent.want_by_file(new)
    rig.agent.start()
    rig.agent.loaded(new)
    assert rig.server.predict("old") == 3.0
    assert rig.server.predict("gone") is None


def test_agents_killed_at_any_moment_end_in_the_wanted_state(rig: RigFixture) -> None:
    models = [rig.upload(f"m{number}", float(number)) for number in range(20)]
    rig.start(*models)
    for moment in (2.05, 2.15, 2.3, 0.6):
        time.sleep(moment)
        rig.agent.process.end()
        rig.agent.start()
    rig.agent.loaded(*models)
    assert [rig.server.predict(model.name) for model in models] == [float(n) for n in range(20)]


@pytest.mark.weakness("M24")
def test_a_server_that_comes_late_costs_no_failure(rig: RigFixture) -> None:
    model = rig.upload("one", 1.0)
    rig.agent.want_by_file(model)
    rig.agent.start()
    state = rig.agent.state("one", lambda seen: seen.reason == "ServerUnavailable")
    assert (state.state, state.attempt) == (State.PENDING, 0)
    rig.server.start()
    assert rig.agent.loaded(model).models["one"].attempt == 0


def test_removing_the_model_needs_no_server(rig: RigFixture) -> None:
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    rig.start(one, two)
    rig.agent.loaded(one, two)
    rig.server.process.end()
    rig.agent.want_by_file(two)
    until(lambda: not (rig.agent.folder / "models" / "one").is_symlink())
    rig.server.start()
    rig.agent.loaded(two)


def test_an_unreadable_list_changes_nothing(rig: RigFixture) -> None:
    model = rig.upload("one", 1.0)
    rig.start(model)
    before = rig.agent.loaded(model)
    (rig.agent.config / "models.json").write_text("[{")
    until(lambda: "cannot be read" in rig.agent.process.log.read_text())
    after = rig.agent.report()
    assert (after.config, after.models) == (before.config, before.models)


def test_an_empty_list_is_ready(rig: RigFixture) -> None:
    rig.start()
    until(lambda: rig.agent.status("/readyz") == 200)
    assert rig.agent.status("/livez") == 200
    assert rig.agent.report().settled


@pytest.mark.weakness("M5")
def test_a_hundred_and_twenty_models_at_start(rig: RigFixture) -> None:
    models = [rig.upload(f"m{number:03}", float(number)) for number in range(120)]
    rig.start(*models)
    rig.agent.loaded(*models, seconds=60)
    assert rig.server.predict("m119") == 119.0
    assert rig.server.loads() == 120


def test_sigterm_ends_it_at_once(rig: RigFixture) -> None:
    rig.start(rig.upload("one", 1.0))
    started = time.monotonic()
    assert rig.agent.process.end(signal.SIGTERM) == 0
    assert time.monotonic() - started < 10, "the kubelet kills it after 30"
