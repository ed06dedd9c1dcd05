"""The list of models and the credentials, read from a real API server."""

import time
from dataclasses import replace
from typing import Any

import pytest

from shoal.modelstates import State
from support.agentrigs import until
from support.namespaces import CONFIG_MAP, Namespace


@pytest.fixture
def rig(api_rig: Any) -> Any:
    return api_rig


@pytest.mark.weakness("M8")
def test_a_change_of_the_config_map_is_served_at_once(namespace: Namespace, rig: Any) -> None:
    namespace.secret(rig.bucket.secret())
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    namespace.want(one)
    rig.agent.start()
    rig.agent.loaded(one)
    namespace.want(one, two)
    changed = time.monotonic()
    rig.agent.loaded(one, two)
    assert time.monotonic() - changed < 20, "a mounted file follows after up to a minute"
    namespace.want(two)
    rig.agent.loaded(two)
    assert (rig.server.predict("one"), rig.server.predict("two")) == (None, 2.0)


def test_a_wrong_secret_is_named_and_a_corrected_one_heals(namespace: Namespace, rig: Any) -> None:
    namespace.secret(rig.bucket.secret("not-the-key"))
    one = rig.upload("one", 1.0)
    namespace.want(one)
    rig.agent.start()
    state = rig.agent.state("one", lambda seen: seen.state is State.FAILED)
    assert state.reason == "CredentialsRefused"
    assert state.message.startswith(
        f"Secret {namespace.name}/aws: {rig.bucket.endpoint} refused access key shoal-access "
        "for s3://models/one: SignatureDoesNotMatch"
    )
    namespace.secret(rig.bucket.secret())
    rig.agent.loaded(one)


def test_a_missing_secret_is_named_and_a_created_one_heals(namespace: Namespace, rig: Any) -> None:
    one = rig.upload("one", 1.0)
    rig.agent.process.environ["AWS_ENDPOINT_URL"] = rig.bucket.endpoint
    namespace.want(one)
    rig.agent.start()
    state = rig.agent.state("one", lambda seen: seen.state is State.FAILED)
    assert state.reason == "CredentialsNotFound"
    assert f"Secret {namespace.name}/aws does not exist" in state.message
    namespace.secret(rig.bucket.secret())
    rig.agent.loaded(one)


def test_a_config_map_that_comes_late_or_goes(namespace: Namespace, rig: Any) -> None:
    namespace.secret(rig.bucket.secret())
    one = rig.upload("one", 1.0)
    rig.agent.start()
    until(lambda: "does not exist" in rig.agent.process.log.read_text())
    assert rig.agent.status("/readyz") == 503
    namespace.want(one)
    rig.agent.loaded(one)
    namespace.server.kubectl("delete", "configmap", CONFIG_MAP, "-n", namespace.name)
    until(lambda: "was deleted" in rig.agent.process.log.read_text())
    assert rig.server.predict("one") == 1.0
    two = replace(rig.upload("two", 2.0), name="one")
    namespace.want(two)
    rig.agent.loaded(two)
