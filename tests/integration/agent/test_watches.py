"""The list of models and the credentials, read from a real API server."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from shoal import modelconfig
from shoal.modelconfig import Model
from shoal.modelstates import State
from support.agentrigs import until

CONFIG_MAP = "modelconfig-svc-0"


@dataclass
class Namespace:
    """A namespace of the real API server, as operator and user fill it for one service."""

    server: Any
    name: str
    folder: Path

    def apply(self, *objects: dict[str, Any]) -> None:
        done = self.server.kubectl(
            "apply", "-n", self.name, "-f", "-", text="\n---\n".join(map(json.dumps, objects))
        )
        assert done.returncode == 0, done.stderr

    def want(self, *models: Model) -> None:
        self.apply(made("v1", "ConfigMap", CONFIG_MAP, data=modelconfig.encode(models)))

    def secret(self, content: dict[str, Any]) -> None:
        secret = made("v1", "Secret", "aws", stringData=content["data"])
        secret["metadata"]["annotations"] = content["annotations"]
        self.apply(secret)

    def grant(self, *secrets: str) -> None:
        rules = [
            rule("configmaps", ["get", "list", "watch"], CONFIG_MAP),
            rule("serviceaccounts", ["get"], "default"),
            rule("secrets", ["get"], *secrets),
        ]
        group = "rbac.authorization.k8s.io"
        self.apply(
            made(f"{group}/v1", "Role", "svc-agent", rules=rules),
            made(
                f"{group}/v1",
                "RoleBinding",
                "svc-agent",
                roleRef={"apiGroup": group, "kind": "Role", "name": "svc-agent"},
                subjects=[{"kind": "ServiceAccount", "name": "default", "namespace": self.name}],
            ),
        )

    def account(self, *secrets: str) -> None:
        listed = [{"name": name} for name in secrets]
        self.apply(made("v1", "ServiceAccount", "default", secrets=listed))

    def log_in(self) -> dict[str, str]:
        """Write what the kubelet would mount; return the agent's variables."""
        token = self.server.kubectl("create", "token", "default", "-n", self.name)
        assert token.returncode == 0, token.stderr
        self.folder.mkdir(exist_ok=True)
        (self.folder / "token").write_text(token.stdout)
        cluster = yaml.safe_load(self.server.kubeconfig.read_text())["clusters"][0]["cluster"]
        authority = subprocess.run(
            ["base64", "-d"],  # noqa: S607 - coreutils
            input=cluster["certificate-authority-data"].encode(),
            capture_output=True,
            check=True,
        ).stdout
        (self.folder / "ca.crt").write_bytes(authority)
        return {
            "SHOAL_API_URL": cluster["server"],
            "SHOAL_TOKEN_DIR": str(self.folder),
            "SHOAL_NAMESPACE": self.name,
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
            "AWS_ENDPOINT_URL": "",
        }


def made(version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}


def rule(resource: str, verbs: list[str], *names: str) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": [resource], "verbs": verbs, "resourceNames": names}


@pytest.fixture
def namespace(api_server: Any, tmp_path: Path) -> Iterator[Namespace]:
    name = f"ns-{time.time_ns()}"
    done = api_server.kubectl("create", "namespace", name)
    assert done.returncode == 0, done.stderr
    yield Namespace(api_server, name, tmp_path / "token")
    api_server.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def rig(namespace: Namespace, make_rig: Any) -> Any:
    namespace.account("aws")
    namespace.grant("aws", "none")
    made_rig = make_rig(**namespace.log_in())
    made_rig.server.start()
    return made_rig


def test_a_change_of_the_config_map_is_served_within_a_second(
    namespace: Namespace, rig: Any
) -> None:
    namespace.secret(rig.bucket.secret())
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    namespace.want(one)
    rig.agent.start()
    rig.agent.loaded(one)
    namespace.want(one, two)
    changed = time.monotonic()
    rig.agent.loaded(one, two)
    assert time.monotonic() - changed < 1.0
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
