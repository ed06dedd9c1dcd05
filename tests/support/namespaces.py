"""A namespace of a real API server, as operator and user fill it for one service."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shoal import modelconfig, names
from shoal.modelconfig import Model

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
        """Write the list of models as the operator does."""
        data = modelconfig.encode(models)
        config_map = made("v1", "ConfigMap", CONFIG_MAP, data=data)
        digest = {names.MODELS_DIGEST_ANNOTATION: modelconfig.digest(data)}
        config_map["metadata"]["annotations"] = digest
        self.apply(config_map)

    def secret(self, content: dict[str, Any], name: str = "aws") -> None:
        """Write a Secret as `Bucket.secret` makes it."""
        secret = made("v1", "Secret", name, stringData=content["data"])
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
