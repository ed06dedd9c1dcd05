"""A namespace of one test, with its bucket and its credentials, and what is put into it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.agentrigs import listens
from support.samplers import Sampler
from support.terminals import CHECKOUT, Body, Terminal, condition, until
from support.traffic import BODY, Answer, Door
from support.watchers import Access

IMAGE = "localhost/custom-server:dev"
S3_MANIFEST = CHECKOUT / "tests" / "cluster" / "manifests" / "versitygw.yaml"
S3_CREDENTIALS = CHECKOUT / "examples" / "custom-model-mms" / "s3-credentials.yaml"
SHARED_STORE = "storage"
LINE, RANGES = 3.0, 1  # what the trained models answer to 1.0: examples/custom-server/train.py
UPLOAD = "python examples/custom-server/upload.py"


@dataclass(frozen=True)
class Space:
    """A namespace; `store` is the namespace of the S3 server that it uses."""

    terminal: Terminal
    namespace: str
    models: Path  # the trained models: a folder each
    folder: Path  # for files of this test
    store: str = SHARED_STORE

    def run(self, command: str, *, stdin: str = "", seconds: float = 60) -> str:
        """Type a command; `kubectl` means this namespace."""
        return self.terminal.run(self._here(command), stdin=stdin, seconds=seconds)

    def get(self, what: str) -> Body:
        """Read an object or a list of this namespace."""
        return self.terminal.get(f"-n {self.namespace} {what}")

    def rows(self, command: str) -> list[dict[str, str]]:
        """Read a table of this namespace."""
        return self.terminal.rows(self._here(command))

    def _here(self, command: str) -> str:
        return command.replace("kubectl ", f"kubectl -n {self.namespace} ")

    def apply(self, *bodies: Body) -> str:
        """Type `kubectl apply` for manifests."""
        return self.run("kubectl apply -f -", stdin=yaml.safe_dump_all(bodies))

    # What is put into it.

    def make_store(self) -> None:
        """Run an S3 server here, so that it can fail without disturbing anybody."""
        text = S3_MANIFEST.read_text()
        bodies = [body for body in yaml.safe_load_all(text) if body["kind"] != "Namespace"]
        for body in bodies:
            body["metadata"]["namespace"] = self.namespace
            if body["kind"] == "Deployment":
                # A Service that is switched off is noticed by new connections alone.
                body["spec"]["template"]["spec"]["containers"][0]["args"].remove("--keep-alive")
        self.apply(*bodies)
        self.run("kubectl rollout status deployment/versitygw --timeout=60s", seconds=70)
        address = self.get("service/versitygw")["spec"]["clusterIP"]
        until(lambda: listens(9000, address), bool, 20, "Service versitygw leads to its pod")

    def make_credentials(self, **data: str) -> None:
        """Tell the ServiceAccount `default` how the bucket is reached."""
        secret, account = yaml.safe_load_all(S3_CREDENTIALS.read_text())
        for body in (secret, account):
            body["metadata"]["namespace"] = self.namespace
        secret["metadata"]["annotations"]["serving.kserve.io/s3-endpoint"] = self.endpoint
        secret["stringData"] |= data
        self.run(
            "kubectl apply --server-side --force-conflicts -f -",
            stdin=yaml.safe_dump_all([secret, account]),
        )

    @property
    def endpoint(self) -> str:
        """Where the pods reach the S3 server."""
        return f"versitygw.{self.store}:9000"

    @property
    def store_url(self) -> str:
        """Where the host reaches the S3 server."""
        address = self.terminal.get(f"-n {self.store} service versitygw")["spec"]["clusterIP"]
        return f"http://{address}:9000"

    def upload(self, name: str, source: str = "model1-custom") -> str:
        """Put a trained model, under a name, into this namespace's bucket; return its URI."""
        return self.put(name, {"model.joblib": self.models / source / "model.joblib"})

    def put(self, name: str, files: dict[str, Path | bytes]) -> str:
        """Put files below `name` into this namespace's bucket; return the URI of `name`."""
        outbox = self.folder / "outbox"
        shutil.rmtree(outbox, ignore_errors=True)
        (outbox / name).mkdir(parents=True)
        for path, content in files.items():
            data = content.read_bytes() if isinstance(content, Path) else content
            (outbox / name / path).parent.mkdir(parents=True, exist_ok=True)
            (outbox / name / path).write_bytes(data)
        self.terminal.run(f"{UPLOAD} {self.store_url} {self.namespace} {outbox}")
        return f"s3://{self.namespace}/{name}"

    def serve(self, name: str = "server", **predictor: Any) -> None:
        """Make an InferenceService on the example server, which asks for little."""
        self.apply(service(name, **predictor))

    def add(self, model: str, uri: str, server: str = "server") -> None:
        """Make a TrainedModel."""
        self.apply(trained_model(model, uri, server))

    # What is seen of it.

    def wait(self, what: str, seconds: int = 60, kind: str = "Ready") -> None:
        """Type `kubectl wait`."""
        self.run(
            f"kubectl wait --for=condition={kind} {what} --timeout={seconds}s",
            seconds=seconds + 10,
        )

    def condition(self, what: str, kind: str = "Ready") -> Body:
        """Read one condition."""
        return condition(self.get(what), kind)

    def failing(self, model: str, reason: str, seconds: float = 60) -> Body:
        """Wait until a model is not loaded for a reason; return the condition."""
        return until(
            lambda: self.condition(f"tm/{model}", "ModelLoaded"),
            lambda seen: seen["status"] == "False" and seen["reason"] == reason,
            seconds,
            f"{model} fails with {reason}",
        )

    def pods(self, server: str = "server") -> list[Body]:
        """List the pods of a server that are not going away."""
        label = f"serving.kserve.io/inferenceservice={server}"
        items: list[Body] = self.get(f"pods -l {label}")["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def gone(self, server: str) -> None:
        """Wait until not even a pod that ends is left of a server."""
        pods = f"pod -l serving.kserve.io/inferenceservice={server}"
        self.run(f"kubectl wait --for=delete {pods} --timeout=60s", seconds=70)

    def pod(self, server: str = "server") -> str:
        """Name the only pod of a server."""
        (pod,) = self.pods(server)
        name: str = pod["metadata"]["name"]
        return name

    def through_ingress(self, model: str, server: str = "server") -> Door:
        """Make the door that users from outside take, once it leads to the server.

        The ingress hears of a ready pod when everybody else does, and takes a moment more.
        """
        url = self.get(f"isvc/{server}")["status"]["url"]
        door = Door(self.terminal.environ["SHOAL_INGRESS"], url.partition("//")[2], model)
        until(lambda: door.ask(2), _is_of_a_server, 30, f"the ingress leads to {server}")
        return door

    def ask(self, model: str, server: str = "server", body: str = BODY) -> Answer:
        """Ask once through the ingress.

        A server ends connections that are idle, and the ingress may hear of that by a request:
        then it says 503 itself, and is asked again.
        """
        door = self.through_ingress(model, server)
        return until(lambda: door.ask(body=body), _is_of_a_server, 10, f"{server} answers")

    def sample(self, values: dict[str, float], server: str = "server") -> Sampler:
        """Make the client that catches lies; `values` are what the models of URIs answer."""
        access = Access.read(Path(self.terminal.environ["KUBECONFIG"]))
        return Sampler(access, (self.namespace, server), values)

    def through_service(self, model: str, server: str = "server") -> Door:
        """Make the door that users inside take; the host has a route to it here.

        kube-proxy hears of a ready pod when everybody else does, and takes a moment more.
        """
        address = self.get(f"service/{server}")["spec"]["clusterIP"]
        until(lambda: listens(80, address), bool, 20, f"Service {server} leads to a pod")
        return Door(f"{address}:80", f"{server}.{self.namespace}", model)


def _is_of_a_server(answer: Answer) -> bool:
    """Tell whether a server answered: the ingress says 503 itself, or 404 without a word."""
    return answer.status not in (0, 503) and bool(answer.text)


def service(name: str = "server", **predictor: Any) -> Body:
    """Write an InferenceService that leaves room for others on a small node."""
    resources = {
        "requests": {"cpu": "50m", "memory": "192Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    container = {"name": "kserve-container", "image": IMAGE, "resources": resources}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"containers": [container], **predictor}},
    }


def trained_model(name: str, uri: str, server: str = "server", memory: str = "128Mi") -> Body:
    """Write a TrainedModel."""
    model = {"storageUri": uri, "framework": "custom", "memory": memory}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": name},
        "spec": {"inferenceService": server, "model": model},
    }


def listed(space: Space, server: str = "server") -> list[str]:
    """Name the models in the ConfigMap of a server."""
    data = space.get(f"configmap/modelconfig-{server}-0")["data"]["models.json"]
    return [entry["modelName"] for entry in json.loads(data)]
