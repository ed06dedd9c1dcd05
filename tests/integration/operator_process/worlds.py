"""A namespace on the real API server, with the operator, pods and agents that a test wants."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from integration.operator_process import apis, bodies, programs
from integration.operator_process.apis import Api, Body, condition, until
from integration.operator_process.audits import Audit
from integration.operator_process.programs import Program
from integration.operator_process.replicas import Replica, StubAgent
from shoal import modelconfig

OPERATOR_USER = "shoal-operator"
PASSES = 'shoal_reconciles_total{outcome="done"}'
Kubectl = Callable[..., CompletedProcess[str]]


def _addresses() -> Iterator[str]:
    """Yield loopback addresses that no other run of the tests on this machine takes."""
    place = os.getpid() % 240 + 10
    for third, fourth in itertools.product(range(256), range(1, 255)):
        yield f"127.{place}.{third}.{fourth}"


_FREE = _addresses()


@dataclass
class World:
    """What a test acts on and looks at."""

    api: Api
    audit: Audit
    kubectl: Kubectl
    folder: Path
    kubeconfig: Path
    stack: AsyncExitStack
    operators: list[Program] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)
    is_left: bool = False  # whether its API server ends with it, so that nothing needs to go
    may_fail: bool = False  # whether a failed pass, with its traceback, belongs to the test

    @property
    def namespace(self) -> str:
        return self.api.namespace

    async def start(self, **env: str) -> Program:
        """Start one more operator; return when its probes answer."""
        name = f"operator-{len(self.operators)}"
        log = self.folder / f"{name}.log"
        own = {"KUBECONFIG": str(self.kubeconfig), "SHOAL_NAMESPACE": self.namespace, **env}
        program = await programs.start(name, log, own)
        self.operators.append(program)
        return program

    async def operator(self, **env: str) -> Program:
        """Start an operator; return when it leads."""
        program = await self.start(**env)
        await until(program.leads, seconds=30)
        return program

    async def given_back(self, standby: Program) -> None:
        """Assert that the Lease is nobody's, or that of who waited for it."""
        lease = await self.api.get("Lease", "shoal-operator")
        assert lease["spec"].get("holderIdentity") in (None, "", standby.name), "it is given back"

    async def run_pods(
        self, service: str = "mms", count: int = 1, *, host: bool = True
    ) -> list[Replica]:
        """Let `count` pods that were waiting run and be ready, with an agent in each of a host."""

        async def waiting() -> list[Body]:
            selector = f"serving.kserve.io/inferenceservice={service}"
            pods = [
                pod
                for pod in await self.api.all("Pod", selector)
                if "podIP" not in pod["status"]
                and "deletionTimestamp" not in pod["metadata"]
                and host == any(box["name"] == "agent" for box in pod["spec"]["containers"])
            ]
            return pods if len(pods) >= count else []

        made = [await self._run(pod) for pod in (await until(waiting))[:count]]
        self.replicas += made
        return made

    async def _run(self, pod: Body) -> Replica:
        agent = StubAgent(self.free_address())
        await agent.start()
        self.stack.push_async_callback(agent.stop)
        name = pod["metadata"]["name"]
        await self.place(name, agent.address)
        return Replica(name, agent)

    def free_address(self) -> str:
        """Return an address at which nobody else listens."""
        return next(_FREE)

    async def place(self, pod: str, address: str) -> None:
        """Let a pod run and be ready, at an address where its agent answers."""
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        await self.api.patch("Pod", pod, {"status": status}, "status")

    async def shards(self, service: str = "mms") -> list[Body]:
        """Return the ConfigMaps of the list of models, in order."""
        prefix = f"modelconfig-{service}-"
        found = {
            int(body["metadata"]["name"].removeprefix(prefix)): body
            for body in await self.api.all("ConfigMap")
            if body["metadata"]["name"].startswith(prefix)
        }
        return [found[index] for index in sorted(found)]

    async def config(self, service: str = "mms") -> list[str]:
        """Return the names in the list of models."""
        shards = [modelconfig.read(body).models for body in await self.shards(service)]
        return sorted(model.name for models in shards for model in models)

    async def ready(self, kind: str, name: str) -> Body:
        """Wait for Ready True."""
        return await self.until_condition(kind, name, "Ready", "True")

    async def until_condition(
        self, kind: str, name: str, type_: str, status: str, reason: str = "", seconds: float = 20
    ) -> Body:
        """Wait for a condition; return the object."""

        async def holds() -> Body:
            body = await self.api.get(kind, name)
            row = condition(body, type_)
            assert (row["status"], row.get("reason", "")) == (
                status,
                reason or row.get("reason", ""),
            ), body.get("status")
            assert row.get("observedGeneration") == body["metadata"]["generation"]
            return body

        return await until(holds, seconds=seconds)

    async def serve(self, *models: str, service: Body | None = None) -> list[Replica]:
        """Make a service with these models, loaded on one replica, and wait until all say so."""
        body = service or bodies.service()
        name = body["metadata"]["name"]
        made = [bodies.model(model, parent=name) for model in models]
        await self.api.create_all(body, *made)
        replicas = await self.run_pods(name)
        replicas[0].agent.load(map(bodies.wanted, made))
        for model in models:
            await self.ready("TrainedModel", model)
        await until(lambda: self._is_rolled_out(name))
        await self.ready("InferenceService", name)
        return replicas

    async def _is_rolled_out(self, service: str) -> bool:
        """Tell whether no pod is left from before its models were known, if they came later."""
        body = await self.api.get("Deployment", f"{service}-predictor")
        pods = await self.api.all("Pod", f"serving.kserve.io/inferenceservice={service}")
        return condition(body, "Progressing").get("reason") == "NewReplicaSetAvailable" and all(
            "podIP" in pod["status"] for pod in pods
        )

    async def see(self, *arguments: str) -> str:
        """Run kubectl in the namespace; return what a user sees."""
        done = await asyncio.to_thread(self.kubectl, f"--namespace={self.namespace}", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def children(self) -> dict[tuple[str, str], Body]:
        """Return everything in the namespace that an InferenceService owns, by kind and name."""
        found = {}
        for kind in apis.CHILDREN:
            for body in await self.api.all(kind):
                owners = body["metadata"].get("ownerReferences", [])
                if any(owner["kind"] == "InferenceService" for owner in owners):
                    found[kind, body["metadata"]["name"]] = body
        return found

    async def passes(self, program: Program, number: int = 1) -> None:
        """Wait until the operator has made so many more passes and is at rest."""
        before = await program.metric(PASSES)

        async def made() -> bool:
            done = await program.metric(PASSES) >= before + number
            return done and await program.metric("shoal_queue_keys") == 0

        await until(made)

    async def quiet(self, program: Program) -> float:
        """Wait until a second went by without a pass; return how many there were."""
        before = -1.0
        while True:
            made = await program.metric(PASSES)
            if made == before and await program.metric("shoal_queue_keys") == 0:
                return made
            before = made
            await asyncio.sleep(1)

    async def at_rest(self, program: Program) -> int:
        """Wait until nothing waits for a pass and two lists saw no write; return the mark."""
        while True:
            mark = self.audit.mark()
            await self.relisted(program, mark)
            if not self.audit.writes(mark):
                return self.audit.mark()

    async def relisted(self, program: Program, mark: int, times: int = 2) -> None:
        """Wait until the operator has compared all with the cluster so many times more."""

        async def seen() -> bool:
            # The last kind of a relist is the ServiceAccount.
            rows = self.audit.requests(mark)
            lists = [
                row for row in rows if (row.verb, row.resource) == ("list", "serviceaccounts")
            ]
            return len(lists) >= times and await program.metric("shoal_queue_keys") == 0

        await until(seen, seconds=30, every=0.2)


@asynccontextmanager
async def make(
    api: Api, audit: Audit, kubectl: Kubectl, folder: Path, kubeconfig: Path
) -> AsyncIterator[World]:
    """Make the namespace, and end everything in it afterwards."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(api.close)
        name = api.namespace
        await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        # The controller manager may only just have begun.
        await until(lambda: api.find("ServiceAccount", "default"), seconds=60)
        world = World(api, audit, kubectl, folder, kubeconfig, stack)
        try:
            yield world
        finally:
            for program in world.operators:
                if program.process.returncode is None:
                    await program.kill()
            if not world.is_left:
                await _empty(api)


async def _empty(api: Api) -> None:
    """Delete what the next test's operator would work on."""
    with contextlib.suppress(apis.RefusedError):
        for kind in ("InferenceService", "TrainedModel"):
            await api.delete(kind, "")
        await api.delete("Namespace", api.namespace)
