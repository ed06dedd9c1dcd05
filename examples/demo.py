"""Serve two models on one server, on the cluster that `make cluster` brought up.

`make demo` runs this: docs/walkthrough.md, steps 1 to 7, each command shown as it is typed, with
its real output. It stops at the first output that is not as the walk-through says. With `--remove`
it takes away what it made.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
MANIFESTS = "examples/custom-model-mms"
REQUEST = "examples/custom-server/input.json"
SERVICE = "custom-model-mms"
HOST = f"{SERVICE}.default.example.com"
# What the request in input.json is answered with: see examples/custom-server/train.py.
ANSWERS = {"model1-custom": 3.0, "model2-custom": 1}
S3_KEYS = {
    "AWS_ACCESS_KEY_ID": "shoal-access",
    "AWS_SECRET_ACCESS_KEY": "shoal-secret-key",  # the S3 server of tests/cluster
}
NEXT = (
    "kubectl get inferenceservice,trainedmodel -o wide",
    (f'curl -H "Host: {HOST}" http://$SHOAL_INGRESS/v2/models/model2-custom/infer -d @{REQUEST}'),
    "kubectl describe trainedmodel model1-custom",
    "kubectl delete trainedmodel model1-custom",
    f"kubectl delete inferenceservice {SERVICE}",
    "make demo-down",
)


class DemoError(Exception):
    """A command did not do what the walk-through says."""


class Terminal:
    """Types commands into a shell, shows them and their output, and keeps time."""

    def __init__(self) -> None:
        self.started = self.step_started = time.monotonic()
        self.steps = 0
        python = str(Path(sys.executable).parent)
        self.environ = {**os.environ, **S3_KEYS, "PATH": f"{python}:{os.environ['PATH']}"}

    def step(self, title: str) -> None:
        """Begin a step, and say how long the one before took."""
        self.end_step()
        self.steps += 1
        show(f"\n── {self.steps}. {title}\n")
        self.step_started = time.monotonic()

    def end_step(self) -> None:
        """Say how long the step took."""
        if self.steps:
            show(f"   ({time.monotonic() - self.step_started:.1f} s)\n")

    def run(self, command: str, *expected: str) -> str:
        """Type a command; every regular expression in `expected` must match its output."""
        show(f"$ {command}\n")
        lines: list[str] = []
        with subprocess.Popen(  # noqa: S603 - the commands are this file's own
            ["/bin/bash", "-o", "pipefail", "-c", command],
            cwd=CHECKOUT,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                show(f"  {line}" if line.endswith("\n") else f"  {line}\n")
                lines.append(line)
        output = "".join(lines)
        if process.returncode:
            raise DemoError(f"exit code {process.returncode}: {command}")
        for pattern in expected:
            if not re.search(pattern, output, re.MULTILINE):
                raise DemoError(f"the output does not match {pattern!r}: {command}")
        return output

    def assign(self, name: str, command: str) -> None:
        """Type NAME=$(command)."""
        show(f"$ {name}=$({command})\n")
        done = subprocess.run(  # noqa: S603 - the commands are this file's own
            ["/bin/bash", "-o", "pipefail", "-c", command],
            cwd=CHECKOUT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not done.stdout.strip():
            raise DemoError(f"no answer: {command}\n{done.stderr}")
        self.environ[name] = done.stdout.strip()


def show(text: str) -> None:
    """Write to the terminal, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def prepare(terminal: Terminal) -> None:
    """Train the models and put them into a bucket in the cluster."""
    terminal.step("Before it starts: an S3 server in the cluster, two models trained and uploaded")
    exports = terminal.run("python tests/cluster/s3.py", r"^export SHOAL_S3=")
    terminal.environ["SHOAL_S3"] = shlex.split(exports.split("SHOAL_S3=")[-1])[0]
    terminal.environ["MODELS"] = str(Path(os.environ["SHOAL_HOME"]) / "demo" / "models")
    terminal.run(
        'python examples/custom-server/train.py "$MODELS"', "model1-custom", "model2-custom"
    )
    terminal.run(
        'python examples/custom-server/upload.py "$SHOAL_S3" models "$MODELS"',
        "s3://models/model1-custom/model.joblib",
        "s3://models/model2-custom/model.joblib",
    )


def serve(terminal: Terminal) -> None:
    """Steps 1 and 2: the server."""
    terminal.step("How the bucket is reached, and a model server without models")
    terminal.run(f"kubectl apply --server-side -f {MANIFESTS}/s3-credentials.yaml")
    terminal.run(
        f"kubectl apply -f {MANIFESTS}/inferenceservice.yaml", f"{SERVICE} (created|unch|conf)"
    )
    terminal.step("It is READY at the URL that follows from its name")
    terminal.run(f"kubectl wait --for=condition=Ready inferenceservice/{SERVICE} --timeout=300s")
    terminal.run("kubectl get inferenceservice", rf"^\s*{SERVICE}\s+http://{HOST}\s+True\s")


def load(terminal: Terminal) -> None:
    """Steps 3 to 6: the models."""
    terminal.step("Two models for that server")
    terminal.run(f"kubectl apply -f {MANIFESTS}/trainedmodels.yaml", *ANSWERS)
    terminal.step("Each is READY when, and only when, it answers")
    terminal.run(
        f"kubectl wait --for=condition=Ready trainedmodel {' '.join(ANSWERS)} --timeout=120s"
    )
    url = f"http://{HOST}/v2/models"
    rows = [rf"^\s*{name}\s+{url}/{name}/infer\s+True\s+(\d+)/\1\s" for name in ANSWERS]
    terminal.run("kubectl get trainedmodel", *rows)
    terminal.step("What the agent beside the server was told, and what it did")
    terminal.run(
        f"kubectl get configmap modelconfig-{SERVICE}-0 -o jsonpath='{{.data.models\\.json}}'",
        *(f'"modelName":"{name}"' for name in ANSWERS),
    )
    label = f"serving.kserve.io/inferenceservice={SERVICE}"
    terminal.assign(
        "POD", f"kubectl get pods -l {label} -o jsonpath='{{.items[0].metadata.name}}'"
    )
    patterns = [rf"{event} .*{name}" for name in ANSWERS for event in ("downloading", "loaded")]
    terminal.run(
        'kubectl logs "$POD" -c agent | grep -E "downloading model|loaded model"', *patterns
    )


def ask(terminal: Terminal) -> None:
    """Step 7: requests, through the ingress and from inside."""
    terminal.step("Requests through the ingress: one address, two models, two answers")
    terminal.assign(
        "SERVICE_HOSTNAME",
        f"kubectl get inferenceservice {SERVICE} -o jsonpath='{{.status.url}}' | cut -d/ -f3",
    )
    for name, answer in ANSWERS.items():
        terminal.run(
            "curl -sS -w ' HTTP %{http_code}\\n' -H \"Host: $SERVICE_HOSTNAME\" "
            f"http://$SHOAL_INGRESS/v2/models/{name}/infer -d @{REQUEST}",
            rf'"data": \[{answer}\].* HTTP 200',
        )
    terminal.step("And from inside the cluster, by the service's name")
    script = (
        "import urllib.request as u; print(u.urlopen("
        f'"http://{SERVICE}.default/v2/models/model1-custom/infer", '
        'b"""{"inputs":[{"name":"input-0","shape":[1],"datatype":"FP32","data":[1.0]}]}"""'
        ").read().decode())"
    )
    terminal.run(
        f"kubectl exec \"$POD\" -c kserve-container -- python3 -c '{script}'",
        rf'"data": \[{ANSWERS["model1-custom"]}\]',
    )
    terminal.end_step()


def end(terminal: Terminal) -> None:
    """Say how long it took and what to try next."""
    took = time.monotonic() - terminal.started
    in_all = max(took, time.time() - float(os.environ.get("SHOAL_STARTED", time.time())))
    show(
        f"\nBoth models answer. The demo took {took:.0f} s, {in_all:.0f} s with its setting up.\n"
    )
    show("The cluster stays up. To go on in your shell:\n\n")
    for name in ("KUBECONFIG", "SHOAL_INGRESS"):
        if name in terminal.environ:
            show(f"  export {name}={terminal.environ[name]}\n")
    show(f"  export PATH={os.environ['SHOAL_HOME']}/bin:$PATH\n\n")
    for command in NEXT:
        show(f"  {command}\n")


def remove(terminal: Terminal) -> None:
    """Take away what the demo made; deleting the service deletes its models."""
    terminal.run(f"kubectl delete --ignore-not-found -f {MANIFESTS}/inferenceservice.yaml")
    terminal.run(f"kubectl delete --ignore-not-found -f {MANIFESTS}/trainedmodels.yaml")
    terminal.run("kubectl delete --ignore-not-found secret s3-credentials")


def explain(terminal: Terminal, error: DemoError) -> None:
    """Show what the cluster knows about a failure."""
    show(f"\nThe demo failed: {error}\n\nWhat the cluster says of it:\n\n")
    for command in (
        "kubectl get inferenceservice,trainedmodel,deployment,pod -o wide",
        "kubectl get events --sort-by=.lastTimestamp | tail -15",
        "kubectl -n shoal-system logs deployment/shoal --tail=15",
    ):
        try:
            terminal.run(command)
        except DemoError as another:
            show(f"  {another}\n")
    show("\ndocs/troubleshooting.md explains every condition's reason.\n")


def main(arguments: Sequence[str]) -> int:
    """Run the demo, or take it away; return the exit code."""
    terminal = Terminal()
    try:
        if "--remove" in arguments:
            remove(terminal)
            return 0
        for act in (prepare, serve, load, ask, end):
            act(terminal)
    except DemoError as error:
        explain(terminal, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
