"""The cluster that is built here, whole: called by ``up.py`` and ``down.py``."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from cluster import (
    binaries,
    containers,
    controlplane,
    dns,
    home,
    ingress,
    network,
    node,
    packages,
    processes,
    progress,
    shell,
)
from cluster.controlplane import Settings
from cluster.kube import Kube

_READY_SECONDS = 120.0
_SETTLE_SECONDS = 30.0


def settings() -> Settings:
    """Return the control plane's settings, the API server at port 6443 of the node."""
    folder = home.cluster()
    return Settings(
        folder=folder,
        base=6441,
        address=network.NODE_IP,
        netns=network.NETNS,
        audit_log=folder / "audit.log",
        service_range=network.SERVICE_RANGE,
        service_address=network.FIRST_SERVICE_IP,
    )


def up() -> dict[str, str]:
    """Bring up whatever of the cluster is not up; return what a shell needs to use it."""
    packages.ensure(packages.CONTROL_PLANE, packages.NODE)
    for module in ("kubernetes", "coredns", "contour", "helm"):
        binaries.ensure(module)
    binaries.offer_on_path(["kubectl", "helm"])
    if network.ensure():
        # Pods of a namespace that is gone would be there and answer nobody.
        containers.delete_all()
    plan = settings()
    kube = Kube(controlplane.start(plan))
    programs = node.ensure(plan)
    ingress.install_crds(kube)
    kube.apply([*dns.OBJECTS, *ingress.OBJECTS])
    programs += [dns.ensure(plan), *ingress.ensure(plan)]
    _wait(kube, programs)
    return {
        "KUBECONFIG": str(plan.kubeconfig),
        "SHOAL_INGRESS": f"{network.NODE_IP}:{ingress.PORT}",
        "SHOAL_NETNS": network.NETNS,
    }


def down() -> None:
    """Stop what :func:`up` started and remove its state; builds stay."""
    folder = home.cluster()
    run = folder / "run"
    processes.stop(run / "kubelet.json")
    containers.delete_all()
    for record in sorted(run.glob("*.json")):
        if record.name not in {"etcd.json", "kube-apiserver.json"}:
            processes.stop(record)
    controlplane.stop(folder)
    for place in (folder, containers.RUNTIME):
        _unmount(place)
        if place.exists():
            shutil.rmtree(place)
    _remove_cgroups()
    network.delete()


def _wait(kube: Kube, programs: list[processes.Program]) -> None:
    """Wait until the node is ready, then make sure that nothing has died meanwhile."""
    with progress.step("waiting for the node and the ingress"):
        if not processes.wait(lambda: _node_ready(kube), _READY_SECONDS, every=0.5):
            log = next(program.log for program in programs if program.name == "kubelet")
            raise controlplane.NotReadyError(f"the node is not Ready\n{processes.tail(log)}")
        if not processes.wait(_envoy_ready, _SETTLE_SECONDS):
            raise controlplane.NotReadyError("Envoy is not ready; see envoy.log and contour.log")
        kube.run("-n", "default", "get", "serviceaccount", "default")
    for program in programs:
        if processes.running(program.record) is None:
            said = processes.tail(program.log)
            raise controlplane.NotReadyError(f"{program.name} has died\n{said}")


def _node_ready(kube: Kube) -> bool:
    path = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    return kube.run("get", "nodes", "-o", path) == "True"


def _envoy_ready() -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{network.NODE_IP}:8002/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _unmount(place: Path) -> None:
    """Unmount all that is mounted below a folder, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    for point in reversed(points):
        if Path(point).is_relative_to(place) and point != str(place):
            shell.succeeds(["umount", "--lazy", point])


def _remove_cgroups() -> None:
    """Remove the cgroups of pods that are gone; one with a process in it stays, being not ours."""
    roots = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*")]
    for pods in (root / "kubepods" for root in roots):
        for folder in [*sorted(pods.rglob("*"), reverse=True), pods]:
            if folder.is_dir():
                try:
                    folder.rmdir()
                except OSError:
                    continue
