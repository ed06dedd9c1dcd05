"""A model of the service's own from stores that this machine runs beside the cluster.

Azurite and git's server are the real programs. The web server is of the tests, behind TLS of an
own authority. AWS's webhook and its token exchange cannot be had here: mocks stand for them, in
front of the real S3 server and the cluster's own tokens.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sklearn.linear_model import LogisticRegression

from cluster.certificates import Authority, Pair
from e2e.conftest import KEYS, SYSTEM, Release
from support import flowers, gitsites, webhosts
from support.spaces import Space
from support.stores import Azurite
from support.terminals import Body, Terminal, condition
from support.webhosts import Asked, Said

pytestmark = pytest.mark.usefixtures("mlserver")

AUDIENCE = "sts.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/models"
TOKENS = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
EXCHANGED = (
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
    "<SessionToken></SessionToken><SecretAccessKey>{AWS_SECRET_ACCESS_KEY}</SecretAccessKey>"
    "<Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>{AWS_ACCESS_KEY_ID}</AccessKeyId>"
    "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)
REFUSED = (
    "<ErrorResponse><Error><Code>InvalidIdentityToken</Code>"
    "<Message>{}</Message></Error></ErrorResponse>"
)


@pytest.fixture(scope="module")
def host(terminal: Terminal) -> str:
    """The address by which pods reach this machine."""
    return webhosts.address(terminal.environ["SHOAL_INGRESS"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority: Authority, host: str) -> Pair:
    return authority.issue("stores", "/CN=stores", hosts=[f"IP:{host}"])


@pytest.fixture(scope="module")
def trusted(terminal: Terminal, release: Release, authority: Authority) -> Iterator[None]:
    """The installation knows the authority."""
    make = f"kubectl -n {SYSTEM} create configmap stores-ca --dry-run=client -o json"
    file = authority.ca().certificate
    terminal.run(f"{make} --from-file=cabundle.crt={file} | kubectl apply -f -")
    release.install("--set config.storageInitializer.caBundleConfigMapName=stores-ca")
    yield
    release.install()
    terminal.run(f"kubectl -n {SYSTEM} delete configmap stores-ca")


def know(space: Space, data: dict[str, str], **annotations: str) -> None:
    """Give the ServiceAccount one Secret, or none where there is no data, and annotations."""
    meta = {"name": "store"}
    if data:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}
        space.apply(body)
    notes = {name.replace("_", "-"): value for name, value in annotations.items()}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "annotations": notes},
        "secrets": [meta] if data else [],
    }
    space.run("kubectl apply --server-side --force-conflicts -f -", stdin=json.dumps(account))


def told(space: Space) -> str:
    """Wait until the model cannot be had; return why."""
    message: str = condition(flowers.blocked(space), "Ready")["message"]
    return message


@pytest.mark.timeout(280)
def test_from_azure_after_a_wrong_key_is_corrected(
    space: Space, model: LogisticRegression, host: str, tmp_path: Path
) -> None:
    azurite = Azurite.make(tmp_path / "azurite", host=host)
    try:
        azurite.put("irises/v1/model.joblib", flowers.file(model))
        wrong = base64.b64encode(b"wrong").decode()
        know(space, azurite.secret(AZURE_STORAGE_ACCESS_KEY=wrong))
        flowers.serve(space, "az://models/irises/v1")
        assert told(space).startswith(f"Secret {space.namespace}/store: ")
        know(space, azurite.secret())
        space.wait("isvc/iris", 120)
        assert flowers.answers(space, model)
    finally:
        azurite.process.end()


@pytest.mark.timeout(280)
@pytest.mark.usefixtures("trusted")
def test_from_the_web_behind_an_authority_of_ones_own(
    space: Space, model: LogisticRegression, host: str, pair: Pair
) -> None:
    content = flowers.file(model)

    def site(asked: Asked) -> Said:
        if asked.headers.get("Authorization") != "Bearer right":
            return Said(b"who are you?", 401)
        return Said(content) if asked.path == "/iris/model.joblib" else Said(b"", 404)

    with webhosts.serving(host, site, pair) as url:
        name = urlsplit(url).hostname or ""
        know(space, {"https-host": name, "headers": json.dumps({"Authorization": "Bearer no"})})
        flowers.serve(space, f"{url}/iris/model.joblib")
        assert "401" in told(space)
        right = json.dumps({"Authorization": "Bearer right"})
        know(space, {"https-host": name, "headers": right})
        space.wait("isvc/iris", 120)
        assert flowers.answers(space, model)


@pytest.mark.timeout(280)
def test_from_a_repository_of_git_with_large_files(
    space: Space, model: LogisticRegression, host: str, tmp_path: Path
) -> None:
    with gitsites.running(tmp_path, host=host) as site:
        site.login = "reader:right"
        uri = f"{site.make('irises.git')}#v1"
        file = site.point(flowers.file(model))
        commit = site.commit("irises.git", {"model.joblib": file, "README.md": b"irises"})
        site.tag("irises.git", "v1", commit)
        know(space, {"GIT_USERNAME": "reader", "GIT_PASSWORD": "wrong"})
        flowers.serve(space, uri)
        assert "refused its user and password" in told(space)
        know(space, {"GIT_USERNAME": "reader", "GIT_PASSWORD": "right"})
        space.wait("isvc/iris", 120)
        assert flowers.answers(space, model)


def by_role(body: Body, sts: str) -> list[Body]:
    """Write what Amazon's webhook adds to a pod whose account has a role; where STS is, too."""
    sources = [{"serviceAccountToken": {"audience": AUDIENCE, "path": "token"}}]
    volume = {"name": "aws-iam-token", "projected": {"sources": sources}}
    mount = {"name": "aws-iam-token", "mountPath": TOKENS, "readOnly": True}
    env = [
        {"name": "AWS_ROLE_ARN", "value": ROLE},
        {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{TOKENS}/token"},
        {"name": "AWS_ENDPOINT_URL_STS", "value": sts},
    ]
    pod = body["request"]["object"]["spec"]
    rows: list[Body] = [{"op": "add", "path": "/spec/volumes/-", "value": volume}]
    for key in ("initContainers", "containers"):
        for index, box in enumerate(pod.get(key) or []):
            at = f"/spec/{key}/{index}"
            more = (box.get("env") or []) + env, (box.get("volumeMounts") or []) + [mount]
            rows.append({"op": "add", "path": f"{at}/env", "value": more[0]})
            rows.append({"op": "add", "path": f"{at}/volumeMounts", "value": more[1]})
    return rows


def review(terminal: Terminal, token: str) -> Body:
    """Let the API server judge a token."""
    asked: Body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
    asked["spec"] = {"token": token, "audiences": [AUDIENCE]}
    said = terminal.run("kubectl create -o json -f -", stdin=json.dumps(asked))
    status: Body = json.loads(said)["status"]
    return status


class Amazon:
    """Its webhook and its token exchange, which lets one account of the cluster in."""

    def __init__(self, terminal: Terminal, user: str) -> None:
        """Let nobody in but `user`."""
        self.url = ""
        self._terminal = terminal
        self._user = user

    def __call__(self, asked: Asked) -> Said:
        """Answer the API server at /mutate, pods elsewhere."""
        return self._mutate(asked) if asked.path.startswith("/mutate") else self._exchange(asked)

    def _mutate(self, asked: Asked) -> Said:
        body = json.loads(asked.body)
        patch = json.dumps(by_role(body, self.url)).encode()
        response: dict[str, Any] = {
            "uid": body["request"]["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(patch).decode(),
        }
        said = {"apiVersion": body["apiVersion"], "kind": body["kind"], "response": response}
        return Said(json.dumps(said).encode(), kind="application/json")

    def _exchange(self, asked: Asked) -> Said:
        query = parse_qs(urlsplit(asked.path).query or asked.body.decode())
        status = review(self._terminal, query["WebIdentityToken"][0])
        who = status.get("user", {}).get("username", status.get("error", "nobody"))
        if (query["RoleArn"], who) != ([ROLE], self._user):
            return Said(REFUSED.format(f"not for {who}").encode(), 400, "text/xml")
        return Said(EXCHANGED.format(**KEYS).encode(), kind="text/xml")


@pytest.fixture
def amazon(space: Space, host: str, authority: Authority, pair: Pair) -> Iterator[Amazon]:
    """Amazon's part, for pods of this test's namespace."""
    mock = Amazon(space.terminal, f"system:serviceaccount:{space.namespace}:models")
    with webhosts.serving(host, mock, pair) as mock.url:
        bundle = base64.b64encode(authority.ca().certificate.read_bytes()).decode()
        hook = {
            "name": "pods.example.com",
            "clientConfig": {"url": f"{mock.url}/mutate", "caBundle": bundle},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                }
            ],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.namespace}},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
        }
        kind = "MutatingWebhookConfiguration"
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind}
        named = {**body, "metadata": {"name": space.namespace}, "webhooks": [hook]}
        space.terminal.run("kubectl apply -f -", stdin=json.dumps(named))
        try:
            yield mock
        finally:
            space.terminal.run(f"kubectl delete {kind} {space.namespace}")


@pytest.mark.timeout(280)
@pytest.mark.usefixtures("trusted", "amazon")
def test_from_s3_by_the_role_of_the_account(space: Space, model: LogisticRegression) -> None:
    notes = {
        "eks.amazonaws.com/role-arn": ROLE,
        "serving.kserve.io/s3-endpoint": space.endpoint,
        "serving.kserve.io/s3-usehttps": "0",
    }
    for name in ("models", "others"):
        meta = {"name": name, "annotations": notes}
        space.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    uri = flowers.upload(space, model)
    flowers.deploy(space, {"storageUri": uri}, serviceAccountName="models")
    space.wait("isvc/iris", 120)
    assert flowers.answers(space, model)
    space.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**meta, "name": "others"}}
    )
    flowers.deploy(space, {"storageUri": uri}, serviceAccountName="others")
    assert f"not for system:serviceaccount:{space.namespace}:others" in told(space)
    assert flowers.answers(space, model)
