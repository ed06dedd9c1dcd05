"""The authority of a storage server's certificate: from a ConfigMap that a holder names."""

from typing import Any

import pytest

from shoal.agent.accounts import Accounts, Identity
from shoal.agent.errors import ApiError
from shoal.storage import credentials

NOTE = "serving.kserve.io/s3-cabundle-configmap"
NAMED = {NOTE: "ca"}
DATA = {"AWS_ACCESS_KEY_ID": "YWs=", "AWS_SECRET_ACCESS_KEY": "c2s="}


class FakeApi:
    """One Secret, its ServiceAccount, and a ConfigMap or what is said instead."""

    def __init__(self, secret: Any, account: Any, config_map: Any) -> None:
        self.objects = {
            ("secrets", "s"): {"metadata": secret, "data": DATA},
            ("serviceaccounts", "default"): {"metadata": account, "secrets": [{"name": "s"}]},
            ("configmaps", "ca"): config_map,
        }

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        found = self.objects[kind, name]
        if isinstance(found, ApiError):
            raise found
        return dict(found)


def metadata(annotations: dict[str, str]) -> dict[str, Any]:
    return {"name": "x", "namespace": "ns", "annotations": annotations}


PEM = {"data": {"cabundle.crt": "PEM\n"}}


@pytest.mark.parametrize(
    ("secret", "account", "config_map", "authority", "problem"),
    [
        pytest.param({}, {}, PEM, "", "", id="nothing-named"),
        pytest.param(NAMED, {}, PEM, "PEM", "", id="by-the-secret"),
        pytest.param({}, NAMED, PEM, "PEM", "", id="by-the-account"),
        pytest.param(
            NAMED,
            {},
            ApiError(404, "not found"),
            "",
            "ConfigMap ns/ca does not exist",
            id="missing",
        ),
        pytest.param(
            NAMED,
            {},
            ApiError(403, "forbidden"),
            "",
            "ConfigMap ns/ca may not be read by the agent: name it on ServiceAccount ns/default "
            f"or the InferenceService too, as {NOTE}",
            id="not-in-the-role",
        ),
        pytest.param(
            NAMED, {}, {"data": {"x": "y"}}, "", "ConfigMap ns/ca has no cabundle.crt", id="empty"
        ),
    ],
)
async def test_where_an_authority_comes_from(
    secret: dict[str, str],
    account: dict[str, str],
    config_map: Any,
    authority: str,
    problem: str,
) -> None:
    api = FakeApi(metadata(secret), metadata(account), config_map)
    known = await Accounts(api, Identity("ns", "default", ""), {}).read()
    options = credentials.s3(known)
    assert (options.access_key, options.authority, options.problem) == ("ak", authority, problem)
