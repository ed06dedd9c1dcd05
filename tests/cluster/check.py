"""Show that the cluster works: ``python3 tests/cluster/check.py``. Cleans up behind itself.

One pod is reached from the host by its own address, its Service, an Ingress and an HTTPRoute, and
from inside by DNS and by its own Service; its log is read and a command runs in it.
"""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster import home, image, processes, progress, providers
from cluster.kube import Kube
from cluster.shell import CommandError

_POD = ("-n", "smoke", "exec", "probe", "--", "/probe")
_ANSWER_SECONDS = 20.0


class CheckError(Exception):
    """Something that a cluster must do was not seen."""


def main() -> int:
    """Run every check; return the exit code."""
    kube = Kube(home.cluster() / "kubeconfig")
    try:
        image.ensure_builtin("probe")
        kube.run("apply", "-f", str(home.HERE / "manifests" / "smoke.yaml"))
        kube.run("-n", "smoke", "wait", "pod/probe", "--for=condition=Ready", "--timeout=90s")
        _from_outside(kube)
        _from_inside(kube)
    except (CheckError, providers.NoClusterError, CommandError) as error:
        progress.say(f"FAILED: {error}")
        return 1
    finally:
        kube.run("delete", "namespace", "smoke", "--ignore-not-found", "--timeout=60s")
    progress.result("the cluster works")
    return 0


def _from_outside(kube: Kube) -> None:
    ingress = f"http://{_ingress()}/"
    _expect("Ingress", ingress, "ingress.smoke.test")
    _expect("HTTPRoute", ingress, "route.smoke.test")
    if providers.choose() == "built":
        get = ("-n", "smoke", "get")
        pod = kube.run(*get, "pod", "probe", "-o", "jsonpath={.status.podIP}")
        service = kube.run(*get, "service", "probe", "-o", "jsonpath={.spec.clusterIP}")
        _expect("pod address from the host", f"http://{pod}:8080/")
        _expect("Service address from the host", f"http://{service}/")


def _from_inside(kube: Kube) -> None:
    for name in ("probe", "probe.smoke", "probe.smoke.svc.cluster.local", "kubernetes.default"):
        found = kube.run(*_POD, "lookup", name)
        progress.result(f"ok: DNS in a pod: {name} is {found.strip()}")
    said = kube.run(*_POD, "get", "http://probe.smoke/")
    progress.result(f"ok: exec, and a pod through its own Service: {said.strip()}")
    log = kube.run("-n", "smoke", "logs", "probe")
    if "serving on port 8080" not in log:
        raise CheckError(f"kubectl logs gave {log!r}")
    progress.result("ok: kubectl logs")


def _expect(what: str, url: str, host: str | None = None) -> None:
    """Wait for a URL to answer with the pod's name."""
    seen = ""

    def answers() -> bool:
        nonlocal seen
        seen = _get(url, host)
        return seen == "200 probe"

    if not processes.wait(answers, _ANSWER_SECONDS):
        raise CheckError(f"{what}: {url} (host {host}) gave {seen}")
    progress.result(f"ok: {what}: {url} {host or ''} gave {seen}")


def _get(url: str, host: str | None) -> str:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310 - http only.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=3) as answer:
            return f"{answer.status} {answer.read().decode().strip()}"
    except urllib.error.HTTPError as error:
        return f"{error.code}"
    except OSError as error:
        return str(error)


def _ingress() -> str:
    """Return the ingress's host:port, from this shell or as up.py wrote it down."""
    lines = (home.cluster() / "env").read_text().splitlines()
    written = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    return os.environ.get("SHOAL_INGRESS") or written["SHOAL_INGRESS"]


if __name__ == "__main__":
    sys.exit(main())
