"""Has a cluster with the operator on it; without one, every test of this ring fails."""

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from support import audits, flowers
from support.spaces import Space
from support.terminals import CHECKOUT, Body, Terminal, until

HOME = Path(os.environ.get("SHOAL_HOME") or Path.home() / ".cache" / "shoal")
CHART = CHECKOUT / "charts" / "shoal"
SYSTEM = "shoal-system"
OPERATOR = "-l app.kubernetes.io/name=shoal"
IMAGE = "--set image.repository=localhost/shoal --set image.tag=dev"
AT_ONCE = 2  # namespaces that end beside a test
KEYS = {"AWS_ACCESS_KEY_ID": "shoal-access", "AWS_SECRET_ACCESS_KEY": "shoal-secret-key"}


def now() -> datetime:
    """Read the clock."""
    return datetime.fromtimestamp(time.time(), UTC)


def _terminal() -> Terminal:
    """Open a terminal on the cluster, which is brought up where it is down."""
    python = Path(sys.executable).parent
    search = f"{python}:{HOME / 'bin'}:{os.environ['PATH']}"
    bare = Terminal({**os.environ, "PATH": search, **KEYS})
    exports = bare.run("python tests/cluster/up.py", seconds=3000)
    words = [line.removeprefix("export ") for line in exports.splitlines()]
    values = dict(shlex.split(word)[0].split("=", 1) for word in words if "=" in word)
    assert values.get("SHOAL_INGRESS"), f"up.py told no ingress: {exports}"
    return Terminal({**bare.environ, **values})


def operators(terminal: Terminal) -> list[Body]:
    """List the operator's pods that are not going away."""
    items: list[Body] = terminal.get(f"-n {SYSTEM} pods {OPERATOR}")["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def operator(terminal: Terminal) -> Body:
    """Wait until the operator has one pod; return it."""
    (pod,) = until(lambda: operators(terminal), lambda pods: len(pods) == 1, 30, "one operator")
    return pod


@dataclass(frozen=True)
class Release:
    """The Helm release of the operator under test."""

    terminal: Terminal

    def install(self, *options: str, chart: Path = CHART) -> str:
        """Install or upgrade, and wait until it is ready."""
        # The tag never changes: this rolls the operator when the image did.
        inputs = HOME / "images" / "localhost_shoal_dev.inputs"
        stamp = inputs.read_text()[:16] if inputs.exists() else "unknown"
        sources = f"--set-string podAnnotations.sources={stamp}"
        return self.terminal.run(
            f"helm upgrade --install shoal {chart} --namespace {SYSTEM} --create-namespace"
            f" --take-ownership --wait --timeout 3m {IMAGE} {sources} {' '.join(options)}",
            seconds=200,
        )

    def uninstall(self) -> str:
        """Uninstall."""
        return self.terminal.run(f"helm uninstall shoal -n {SYSTEM} --wait", seconds=120)


@pytest.fixture(scope="session")
def terminal() -> Terminal:
    """A terminal on a cluster that has the images and an S3 server."""
    made = _terminal()
    image = "python tests/cluster/image.py"
    made.run(image, seconds=1200)
    made.run(
        f"{image} --context examples/custom-server --tag localhost/custom-server:dev", seconds=1200
    )
    made.run("python tests/cluster/s3.py", seconds=300)
    return made


@pytest.fixture(scope="session")
def gcs(terminal: Terminal) -> str:
    """The URL of an emulator of Google Cloud Storage, as the host reaches it."""
    said = terminal.run("python tests/cluster/gcs.py", seconds=300)
    return said.strip().partition("=")[2]


@pytest.fixture(scope="session")
def mlserver(terminal: Terminal) -> None:
    """The image that the chart's runtime for scikit-learn names."""
    flowers.image(terminal)


@pytest.fixture(scope="session")
def model() -> LogisticRegression:
    """What is to be answered as it answers."""
    return flowers.train()


@pytest.fixture(scope="session")
def audit() -> audits.Audit:
    """What the API server is asked from now on."""
    return audits.Audit(HOME / "cluster", now())


@pytest.fixture(scope="session", autouse=True)
def release(terminal: Terminal, audit: audits.Audit) -> Release:  # noqa: ARG001 - begun first
    """The operator, installed as the chart installs it."""
    made = Release(terminal)
    made.install()
    return made


@pytest.fixture(scope="session")
def models(terminal: Terminal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real models, trained on the spot."""
    folder = tmp_path_factory.mktemp("models")
    terminal.run(f"python examples/custom-server/train.py {folder}")
    return folder


@dataclass(frozen=True)
class Namespaces:
    """The namespaces of tests; they end beside the next, a few at once: the node is small."""

    terminal: Terminal
    audit: audits.Audit
    here: list[str] = field(default_factory=list)
    leaving: list[tuple[str, ExitStack]] = field(default_factory=list)

    def make(self, name: str) -> None:
        """Make one; what an earlier run left of it goes first."""
        self.terminal.run(
            f"kubectl delete namespace {name} --ignore-not-found --timeout=90s", seconds=95
        )
        self.terminal.run(f"kubectl create namespace {name}")
        self.here.append(name)

    def end(self, *names: str) -> None:
        """Begin to delete some."""
        for name in names:
            self.here.remove(name)
            gap = ExitStack()  # an agent outlives its Role by moments
            gap.enter_context(self.audit.gap(now, f"system:serviceaccount:{name}:"))
            self.terminal.run(f"kubectl delete namespace {name} --ignore-not-found --wait=false")
            self.leaving.append((name, gap))
        self.wait(most=AT_ONCE)

    def wait(self, most: int = 0) -> None:
        """Wait until no more than so many are on their way."""
        while len(self.leaving) > most:
            name, gap = self.leaving.pop(0)
            with gap:
                self.terminal.run(
                    f"kubectl wait --for=delete namespace/{name} --timeout=150s", seconds=160
                )


@pytest.fixture(scope="session")
def namespaces(terminal: Terminal, audit: audits.Audit) -> Iterator[Namespaces]:
    """What makes the namespaces of tests and deletes them."""
    made = Namespaces(terminal, audit)
    yield made
    made.wait()


MakeSpace = Callable[..., Space]


@pytest.fixture(scope="module")
def make_space(
    terminal: Terminal,
    models: Path,
    tmp_path_factory: pytest.TempPathFactory,
    namespaces: Namespaces,
) -> Iterator[MakeSpace]:
    """Make spaces; those that are left end after the file."""

    def make(name: str, *, own_store: bool = False) -> Space:
        folder = tmp_path_factory.mktemp(name)
        namespaces.make(name)
        space = Space(terminal, name, models, folder)
        if own_store:
            space = replace(space, store=name)
            space.make_store()
        space.make_credentials()
        return space

    yield make
    namespaces.end(*namespaces.here)


@pytest.fixture
def space(
    request: pytest.FixtureRequest, make_space: MakeSpace, namespaces: Namespaces
) -> Iterator[Space]:
    """A namespace of this test alone."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    made = make_space(f"e2e-{name[:40]}".strip("-"))
    yield made
    namespaces.end(made.namespace)


@pytest.fixture
def claim(space: Space) -> Iterator[str]:
    """A claim for a folder of the node."""
    name = space.namespace
    spec = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name,
    }
    asked = {"requests": spec["capacity"]}
    place = {"path": f"/tmp/{name}", "type": "DirectoryOrCreate"}  # noqa: S108 - of the node
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    made = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared"}}
    own = {key: spec[key] for key in ("accessModes", "storageClassName")}
    space.terminal.run(
        "kubectl apply -f -", stdin=json.dumps({**volume, "spec": {**spec, "hostPath": place}})
    )
    space.apply({**made, "spec": {**own, "volumeName": name, "resources": asked}})
    yield "shared"
    space.terminal.run(f"kubectl delete pv {name} --wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the cluster knows to the report of a test that failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        given = item.funcargs.values()
        namespaces = [each.namespace for each in given if isinstance(each, Space)]
        for each in given:
            if isinstance(each, Terminal):
                report.sections.append(("cluster", _explain(each, namespaces)))
    return report


def _explain(terminal: Terminal, namespaces: list[str]) -> str:
    commands = [f"kubectl -n {SYSTEM} logs deployment/shoal --tail=30"]
    for namespace in namespaces or ["default"]:
        here = f"kubectl -n {namespace}"
        commands += [
            f"{here} get isvc,tm,deployment,pod -o wide",
            f"{here} get tm -o jsonpath='{{.items[*].status}}'",
            f"{here} logs -l component=predictor -c agent --tail=30 --prefix",
            f"{here} get events --sort-by=.lastTimestamp | tail -20",
        ]
    return "\n".join(f"$ {each}\n{terminal.attempt(each).stdout}" for each in commands)
