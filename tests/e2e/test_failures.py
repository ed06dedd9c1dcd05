"""What goes wrong with models is said in their conditions, and heals when it is mended.

One server with its own S3 server; model `steady`, loaded before, answers through all of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from e2e.conftest import MakeSpace
from support.spaces import LINE, RANGES, Space
from support.terminals import condition, until
from support.traffic import Client

RIGHT_KEY = "shoal-secret-key"
WRONG_KEY = "not-the-key-of-this-store"


def _select(name: str) -> str:
    """Point the S3 server's Service to pods of a name; nobody's: the server is down."""
    patch = f'{{"spec":{{"selector":{{"app.kubernetes.io/name":"{name}"}}}}}}'
    return f"kubectl patch service versitygw -p '{patch}'"


def _bucket_down(space: Space, name: str) -> None:
    space.upload(name)
    space.run(_select("nobody"))
    ask = f"curl -sS --max-time 2 {space.store_url}/health"
    until(lambda: space.terminal.attempt(ask).returncode, bool, 20, "the S3 server is down")


def _bucket_up(space: Space, _name: str) -> None:
    space.run(_select("versitygw"))


def _nothing(_space: Space, _name: str) -> None:
    """Leave the bucket without the object."""


def _garbage(space: Space, name: str) -> None:
    space.put(name, {"model.joblib": b"this was never a model"})


def _other_files(space: Space, name: str) -> None:
    space.put(name, {"README": b"the model is missing here"})


def _upload(space: Space, name: str) -> None:
    space.upload(name)


Act = Callable[[Space, str], None]


@dataclass(frozen=True)
class Row:
    """What is broken and mended, and what the condition says between."""

    break_it: Act
    mend_it: Act
    reason: str
    words: tuple[str, ...]


ROWS = {
    "bucket-server-down": Row(
        _bucket_down, _bucket_up, "StorageUnavailable", ("versitygw.{space}:9000", "{uri}")
    ),
    "missing-object": Row(_nothing, _upload, "ModelNotFound", ("{uri}", "versitygw.{space}:9000")),
    "corrupt-model": Row(_garbage, _upload, "ModelLoadFailed", ("model.joblib", "Error")),
    "server-refuses-to-load": Row(
        _other_files, _upload, "ModelLoadFailed", ("model.joblib", "FileNotFoundError")
    ),
}


@pytest.fixture(scope="module")
def shared(make_space: MakeSpace) -> Space:
    """A server with one model that is loaded."""
    space = make_space("e2e-failures", own_store=True)
    space.add("steady", space.upload("steady", "model2-custom"))
    space.serve()  # last: it is a host from the start
    space.wait("tm/steady")
    return space


@pytest.mark.weakness("M2")
@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", ROWS)
def test_a_failure_is_told_and_heals_when_it_is_mended(shared: Space, name: str) -> None:
    row = ROWS[name]
    uri = f"s3://{shared.namespace}/{name}"
    with Client(shared.through_ingress("steady"), pause=0.1) as client:
        row.break_it(shared, name)
        shared.add(name, uri)
        try:
            told = shared.failing(name, row.reason, 30)
            _check_told(shared, name, told["message"], row.reason)
            known = {"space": shared.namespace, "uri": uri}
            assert [
                word for word in row.words if word.format(**known) not in told["message"]
            ] == []
        finally:
            row.mend_it(shared, name)
        shared.wait(f"tm/{name}", 60)
    assert shared.ask(name).value == LINE
    assert "lastFailureInfo" not in shared.get(f"tm/{name}")["status"]
    assert {answer.value for answer in client.answers} == {RANGES}


@pytest.mark.timeout(150)
def test_wrong_credentials_are_told_and_heal_when_the_secret_is_corrected(space: Space) -> None:
    uri = space.upload("locked")
    space.make_credentials(AWS_SECRET_ACCESS_KEY=WRONG_KEY)
    space.add("locked", uri)
    space.serve()
    space.wait("isvc/server")
    told = space.failing("locked", "CredentialsRefused")
    secret = f"Secret {space.namespace}/s3-credentials"
    _check_told(space, "locked", told["message"], "CredentialsRefused")
    for words in (secret, space.endpoint, "shoal-access", "SignatureDoesNotMatch"):
        assert words in told["message"]
    space.make_credentials(AWS_SECRET_ACCESS_KEY=RIGHT_KEY)
    space.wait("tm/locked", 60)
    assert space.ask("locked").value == LINE


def _check_told(space: Space, name: str, message: str, reason: str) -> None:
    for secret in (RIGHT_KEY, WRONG_KEY):
        assert secret not in message
    model = until(
        lambda: space.get(f"tm/{name}"),
        lambda body: condition(body, "ModelLoaded")["reason"] == reason,  # not just tried again
        20,
        f"{name} has failed",
    )
    assert condition(model, "Ready")["status"] == "False"
    assert model["status"]["copies"] == {"total": 1, "loaded": 0, "failed": 1, "summary": "0/1"}
    failure = model["status"]["lastFailureInfo"]
    assert (failure["reason"], failure["pod"]) == (reason, space.pod())
    (line,) = until(
        lambda: space.rows(f"kubectl get tm {name} -o wide"),
        lambda rows: rows[0]["REASON"] == reason,
        20,
        "the table says so",
    )
    assert (line["READY"], line["LOADED"]) == ("False", "0/1")
    describe = f"kubectl describe tm {name} | sed -n '/^Events/,$p'"
    until(lambda: space.run(describe), lambda said: reason in said, 10, "an event says so")
