"""Roles of a pod on AWS, in front of a real S3 server.

AWS's token exchange and a node's metadata cannot be had here: mocks stand for them. They check
what they are sent, and hand out the real server's keys, without the session token that AWS adds,
since that server knows none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cluster.certificates import Authority
from shoal.storage.credentials import Credentials, Holder
from shoal.storage.failures import FetchError
from support.agentrigs import ACCESS_KEY, SECRET_KEY
from support.fetches import fetch
from support.mocks import serving
from support.stores import Gateway

WHO = "ServiceAccount ns/models"
ROLE = "arn:aws:iam::1:role/models"
EXCHANGED = """<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<SessionToken></SessionToken><SecretAccessKey>{}</SecretAccessKey>
<Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>{}</AccessKeyId>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
REFUSED = (
    "<ErrorResponse><Error><Code>InvalidIdentityToken</Code>"
    "<Message>No OpenIDConnect provider found</Message></Error></ErrorResponse>"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway.make(tmp_path_factory.mktemp("gateway"))
    made.put("model/a", b"x")
    yield made
    made.process.end()


def account(
    gateway: Gateway, authority: Authority, environ: dict[str, str], **notes: str
) -> Credentials:
    """Make the credentials of a pod whose ServiceAccount has a role, and no Secret."""
    annotations = {"serving.kserve.io/s3-endpoint": gateway.endpoint, **notes}
    text = authority.ca().certificate.read_text()
    return Credentials(account=Holder(WHO, {}, annotations, text), environ=environ)


def by_token(gateway: Gateway, authority: Authority, sts: str, token: Path) -> Credentials:
    environ = {
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ENDPOINT_URL_STS": sts,
    }
    return account(gateway, authority, environ, **{"eks.amazonaws.com/role-arn": ROLE})


async def test_a_pods_token_is_exchanged(
    gateway: Gateway, authority: Authority, tmp_path: Path
) -> None:
    asked: list[dict[str, str]] = []

    async def sts(request: web.Request) -> web.Response:
        asked.append({**request.query})
        return web.Response(text=EXCHANGED.format(SECRET_KEY, ACCESS_KEY))

    pair = authority.issue("sts", "/CN=sts", hosts=["IP:127.0.0.1"])
    token = tmp_path / "token"
    token.write_text("pod's token")
    async with serving(sts, pair) as url:
        known = by_token(gateway, authority, url, token)
        assert await fetch("s3://models/model", tmp_path / "work", known) == {"a": b"x"}
    assert asked[0]["Action"] == "AssumeRoleWithWebIdentity"
    assert (asked[0]["RoleArn"], asked[0]["WebIdentityToken"]) == (ROLE, "pod's token")


async def test_an_exchange_that_is_refused_is_said(
    gateway: Gateway, authority: Authority, tmp_path: Path
) -> None:
    async def sts(_: web.Request) -> web.Response:
        return web.Response(status=400, text=REFUSED)

    pair = authority.issue("sts", "/CN=sts", hosts=["IP:127.0.0.1"])
    token = tmp_path / "token"
    token.write_text("pod's token")
    async with serving(sts, pair) as url:
        with pytest.raises(FetchError) as caught:
            await fetch(
                "s3://models/model", tmp_path / "work", by_token(gateway, authority, url, token)
            )
    assert caught.value.reason == "CredentialsRefused"
    assert caught.value.message == (
        f"{WHO}: cannot log in with the pod's role for s3://models/model: InvalidIdentityToken: "
        f"No OpenIDConnect provider found (400); {gateway.endpoint} was not asked"
    )


async def test_a_token_that_is_not_there_is_said(
    gateway: Gateway, authority: Authority, tmp_path: Path
) -> None:
    known = by_token(gateway, authority, "https://127.0.0.1:9", tmp_path / "none")
    with pytest.raises(FetchError) as caught:
        await fetch("s3://models/model", tmp_path / "work", known)
    assert caught.value.reason == "StorageUnavailable"
    assert caught.value.message == (
        f"{WHO}: cannot log in with the pod's role for s3://models/model: the token file cannot "
        f"be read; {gateway.endpoint} was not asked"
    )


def node(gateway: Gateway, authority: Authority, metadata: str) -> Credentials:
    notes = {"serving.kserve.io/s3-useanoncredential": "false"}
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata}
    return account(gateway, authority, environ, **notes)


async def test_the_nodes_role_is_used_where_strangers_are_not_wanted(
    gateway: Gateway, authority: Authority, tmp_path: Path
) -> None:
    keys = {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": ""}
    answers: dict[str, Any] = {
        "/latest/api/token": "permit",
        "/latest/meta-data/iam/security-credentials/": "node",
        "/latest/meta-data/iam/security-credentials/node": keys
        | {"Expiration": "2099-01-01T00:00:00Z", "Code": "Success", "Type": "AWS-HMAC"},
    }

    async def metadata(request: web.Request) -> web.Response:
        if request.method != "PUT":
            assert request.headers["X-aws-ec2-metadata-token"] == "permit"
        answer = answers[request.path]
        return web.Response(text=answer) if isinstance(answer, str) else web.json_response(answer)

    async with serving(metadata) as url:
        known = node(gateway, authority, url)
        assert await fetch("s3://models/model", tmp_path / "work", known) == {"a": b"x"}


async def test_a_node_without_a_role_is_said(
    gateway: Gateway, authority: Authority, tmp_path: Path
) -> None:
    known = node(gateway, authority, "http://127.0.0.1:9")
    with pytest.raises(FetchError) as caught:
        await fetch("s3://models/model", tmp_path / "work", known)
    assert caught.value.reason == "StorageUnavailable"
    assert caught.value.message == (
        f"{WHO}: cannot log in with the pod's role for s3://models/model: connection refused; "
        f"{gateway.endpoint} was not asked"
    )
