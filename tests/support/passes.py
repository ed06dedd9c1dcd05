"""One pass of the reconciler over fakes of its ports; a test changes the world between passes."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shoal import modelconfig
from shoal.api import settings
from shoal.cluster import kinds
from shoal.cluster.kinds import Kind
from shoal.cluster.ports import Body
from shoal.cluster.store import Store
from shoal.modelstates import Report, State
from shoal.reconcile.configurations import Configuration
from shoal.reconcile.events import Recorder
from shoal.reconcile.services import Reconciler
from shoal.settings import OperatorSettings
from support import builders
from support.fakes import FakeAgents, FakeCluster

KEY = ("default", builders.SERVICE)
AVAILABLE = [builders.condition("Available", "True", "MinimumReplicasAvailable")]


@dataclass
class World:
    """A cluster, its agents, and an operator's hands on them."""

    cluster: FakeCluster
    agents: FakeAgents
    seconds: float = 0
    optional: tuple[Kind, ...] = ()  # kinds that not every cluster knows, and this one does
    data: dict[str, str] = field(default_factory=dict)  # of inferenceservice-config
    process: OperatorSettings = field(default_factory=builders.process)

    async def run(self) -> float | None:
        """Make one pass with a store filled anew, as after a restart of the operator."""
        self.hands = self.reconciler(await self.stored())
        return await self.hands.reconcile(KEY)

    async def stored(self) -> Store:
        store = self.store = Store()
        store.kubernetes = await self.cluster.version()
        for kind in self.optional:
            store.watch_too(kind)
        for kind in store.watched:
            for body in await self.cluster.list(kind):
                store.put(kind, body)
        return store

    def reconciler(self, store: Store) -> Reconciler:
        recorder = Recorder(self.cluster, self.now)
        configuration = Configuration(self.process, recorder, lambda: None)
        configuration.current = settings.parse(self.data, default_image=self.process.image)
        return Reconciler(self.cluster, self.agents, store, configuration, recorder, self.now)

    def now(self) -> Any:
        return builders.NOW + timedelta(seconds=self.seconds)

    def one(self, kind: Kind, name: str) -> Body:
        return self.cluster.objects[kind.plural, "default", name]

    def names(self, kind: Kind) -> list[str]:
        return sorted(name for plural, _, name in self.cluster.objects if plural == kind.plural)

    def condition(self, kind: Kind, name: str, wanted: str = "Ready") -> tuple[str, str]:
        rows = self.one(kind, name)["status"]["conditions"]
        row = next(row for row in rows if row["type"] == wanted)
        return row["status"], row.get("reason", "")

    def service(self, wanted: str = "Ready") -> tuple[str, str]:
        return self.condition(kinds.INFERENCE_SERVICE, builders.SERVICE, wanted)

    def model(self, wanted: str = "Ready", name: str = "model1-custom") -> tuple[str, str]:
        return self.condition(kinds.TRAINED_MODEL, name, wanted)

    def deploy(self) -> None:
        """Let the Deployment be available, as its controller would."""
        body = self.one(kinds.DEPLOYMENT, f"{builders.SERVICE}-predictor")
        body["status"] = {"conditions": AVAILABLE}

    def add_pod(self, name: str = "pod-a", *, agent: bool = True, ready: bool = True) -> None:
        body = builders.pod(
            name, ready=ready, labels={"serving.kserve.io/inferenceservice": builders.SERVICE}
        )
        boxes = [{"name": "kserve-container"}, *([{"name": "agent"}] if agent else [])]
        body["spec"] = {"containers": boxes}
        body["status"] |= {"phase": "Running", "podIP": "10.0.0.9"}
        self.cluster.put(body)

    def say(self, report: Report, pod: str = "pod-a") -> None:
        self.agents.reports[f"uid-of-{pod}"] = report


def wanted_model(name: str = "model1-custom") -> modelconfig.Model:
    return modelconfig.Model(name, "s3://models/model1", "custom", "256Mi")


def loaded(name: str = "model1-custom") -> Report:
    state = builders.model_state(State.LOADED, wanted_model(name))
    return builders.report(**{name.replace("-", "__"): state})


async def until_loaded(world: World) -> None:
    """Bring W1 to its end."""
    world.cluster.put(builders.trained_model())
    await world.run()
    world.deploy()
    world.add_pod()
    world.say(loaded())
    await world.run()
    await world.run()
