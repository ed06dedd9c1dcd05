"""Secrets that models name themselves, read from a real API server by a real agent."""

import time
from dataclasses import replace
from typing import Any

from shoal.modelstates import State
from support.agentrigs import until
from support.namespaces import Namespace


def test_a_models_own_secret_wins_over_the_accounts(namespace: Namespace, api_rig: Any) -> None:
    namespace.grant("aws", "own")
    namespace.secret(api_rig.bucket.secret("not-the-key"))
    namespace.secret(api_rig.bucket.secret(), "own")
    plain = api_rig.upload("plain", 1.0)
    own = replace(api_rig.upload("own", 2.0), storage_secret="own")  # noqa: S106 - its name
    namespace.want(plain, own)
    api_rig.agent.start()
    api_rig.agent.state("own", lambda seen: seen.loaded == own.digest)
    state = api_rig.agent.state("plain", lambda seen: seen.state is State.FAILED)
    assert state.message.startswith(f"Secret {namespace.name}/aws: ")
    assert api_rig.server.predict("own") == 2.0


def test_a_secret_that_the_role_does_not_name_is_told_of_and_heals(
    namespace: Namespace, api_rig: Any
) -> None:
    namespace.secret(api_rig.bucket.secret(), "own")
    one = replace(api_rig.upload("one", 1.0), storage_secret="own")  # noqa: S106 - its name
    namespace.want(one)
    api_rig.agent.start()
    state = api_rig.agent.state("one", lambda seen: seen.state is State.FAILED)
    assert state.reason == "CredentialsNotFound"
    assert state.message == (
        f"Secret {namespace.name}/own may not be read by ServiceAccount {namespace.name}/default:"
        f" let the chart's credentials.secrets reach namespace {namespace.name},"
        ' or grant "get" on it'
    )
    namespace.grant("aws", "own")
    api_rig.agent.loaded(one)


def test_another_secret_is_tried_at_once_and_loads_nothing_again(
    namespace: Namespace, api_rig: Any
) -> None:
    namespace.grant("empty", "good", "other")
    namespace.secret({"annotations": {}, "data": {"typo": "x"}}, "empty")
    for name in ("good", "other"):
        namespace.secret(api_rig.bucket.secret(), name)
    one = api_rig.upload("one", 1.0)
    namespace.want(replace(one, storage_secret="empty"))  # noqa: S106 - its name
    api_rig.agent.start()
    state = api_rig.agent.state("one", lambda seen: seen.attempt >= 2)
    assert state.message == (
        f"Secret {namespace.name}/empty has no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY,"
        " which s3://models/one needs"
    )
    namespace.want(replace(one, storage_secret="good"))  # noqa: S106 - its name
    api_rig.agent.loaded(one)
    config = api_rig.agent.report().config
    namespace.want(replace(one, storage_secret="other"))  # noqa: S106 - its name
    until(lambda: api_rig.agent.report().config != config)
    api_rig.agent.loaded(one)
    assert api_rig.server.loads() == 1


def test_a_rotated_secret_is_used_while_the_old_version_serves(
    namespace: Namespace, api_rig: Any
) -> None:
    namespace.grant("own")
    namespace.secret(api_rig.bucket.secret(), "own")
    first = replace(api_rig.upload("one", 1.0), storage_secret="own")  # noqa: S106 - its name
    second = replace(first, storage_uri=api_rig.upload("two", 2.0).storage_uri)
    namespace.want(first)
    api_rig.agent.start()
    api_rig.agent.loaded(first)
    namespace.secret(api_rig.bucket.secret("rotated-away"), "own")
    time.sleep(1.1)  # one reading serves all that come within a second
    namespace.want(second)
    state = api_rig.agent.state("one", lambda seen: seen.state is State.FAILED)
    assert (state.loaded, state.reason) == (first.digest, "CredentialsRefused")
    assert api_rig.server.predict("one") == 1.0
    namespace.secret(api_rig.bucket.secret(), "own")
    api_rig.agent.loaded(second)
    assert api_rig.server.predict("one") == 2.0
