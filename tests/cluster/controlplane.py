"""etcd, kube-apiserver and kube-controller-manager: a Kubernetes API without a node.

Used by the integration tests as it is, on 127.0.0.1, and by ``up.py`` as the middle of a whole
cluster, inside a network namespace. From a shell::

    python3 tests/cluster/controlplane.py start --dir DIR [--port-base N]
    python3 tests/cluster/controlplane.py stop --dir DIR
"""

import argparse
import json
import os
import shutil
import socket
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster import binaries, home, kubeconfigs, packages, processes, progress, shell
from cluster.certificates import Authority

_READY_SECONDS = 90.0
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class NotReadyError(Exception):
    """A part of the control plane did not become ready; the message has its log's end."""


@dataclass(frozen=True)
class Settings:
    """Where a control plane lives and listens.

    ``folder`` holds its state, certificates, logs and pids. Ports ``base`` to ``base + 3`` are
    etcd's two, the API server's and the controller manager's. ``netns`` names a network namespace
    that exists; ``address`` is the one at which clients reach the API server.
    """

    folder: Path
    base: int
    address: str = "127.0.0.1"
    netns: str | None = None
    audit_log: Path | None = None
    service_range: str = "10.214.0.0/16"
    service_address: str = "10.214.0.1"

    @property
    def server(self) -> str:
        """Return the API server's URL."""
        return f"https://{self.address}:{self.base + 2}"

    @property
    def authority(self) -> Authority:
        """Return the folder of certificates."""
        return Authority(self.folder / "certificates")

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "kubeconfig"


def start(settings: Settings) -> Path:
    """Start what does not run, wait until the API answers, and return the admin kubeconfig."""
    packages.ensure(packages.CONTROL_PLANE)
    programs = binaries.ensure("kubernetes")
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / "ports.json").write_text(json.dumps({"base": settings.base}))
    kubeconfig = client_config(settings, "admin", "/O=system:masters/CN=admin")
    shutil.copyfile(kubeconfig, settings.kubeconfig)
    settings.kubeconfig.chmod(0o600)
    started = [
        processes.ensure(_etcd(settings)),
        processes.ensure(_api_server(settings, programs)),
    ]
    if not processes.wait(lambda: ready(settings), _READY_SECONDS):
        log = _api_server(settings, programs).log
        raise NotReadyError(f"the API server did not become ready\n{processes.tail(log)}")
    started.append(processes.ensure(_controller_manager(settings, programs)))
    if any(started):
        progress.say(f"the API server answers at {settings.server}")
    return settings.kubeconfig


def stop(folder: Path) -> None:
    """Stop what :func:`start` started in this folder; its data stays."""
    for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
        processes.stop(folder / "run" / f"{name}.json")


def ready(settings: Settings) -> bool:
    """Say whether the API server, with etcd behind it, takes requests."""
    context = ssl.create_default_context(cafile=str(settings.authority.ca().certificate))
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with direct.open(f"{settings.server}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def client_config(settings: Settings, name: str, subject: str) -> Path:
    """Return a kubeconfig for a user with a certificate; its subject says who it is."""
    return kubeconfigs.write(
        settings.folder / "kubeconfigs" / name,
        server=settings.server,
        ca=settings.authority.ca().certificate,
        client=settings.authority.issue(name, subject),
    )


def flags(values: Mapping[str, object]) -> list[str]:
    """Return ``--name=value`` arguments."""
    return [f"--{name}={value}" for name, value in values.items()]


def free_base() -> int:
    """Return the first of four consecutive ports that nobody listens on.

    The search starts elsewhere in every process, so that two do not find the same ones.
    """
    bases = list(range(23800, 31800, 4))
    offset = os.getpid() % len(bases)
    for base in bases[offset:] + bases[:offset]:
        if all(_is_free(port) for port in range(base, base + 4)):
            return base
    raise NotReadyError("no four consecutive ports are free between 23800 and 31800")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _program(settings: Settings, name: str, argv: list[str]) -> processes.Program:
    return processes.Program(name, argv, settings.folder, settings.netns)


def _etcd(settings: Settings) -> processes.Program:
    client = f"http://127.0.0.1:{settings.base}"
    peer = f"http://127.0.0.1:{settings.base + 1}"
    values = {
        "data-dir": settings.folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "quota-backend-bytes": 1 << 30,
        "snapshot-count": 10000,
        "log-level": "warn",
    }
    return _program(settings, "etcd", [shell.which("etcd") or "/usr/bin/etcd", *flags(values)])


def _api_server(settings: Settings, programs: Path) -> processes.Program:
    authority = settings.authority
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names.append("kubernetes.default.svc.cluster.local")
    addresses = dict.fromkeys(["127.0.0.1", settings.address, settings.service_address])
    hosts = [*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)]
    serving = authority.issue("apiserver", "/O=system:masters/CN=kube-apiserver", hosts=hosts)
    front = authority.issue("front-proxy", "/CN=front-proxy", ca="front-proxy-ca")
    account_key = authority.account_key()
    values = {
        "etcd-servers": f"http://127.0.0.1:{settings.base}",
        "bind-address": settings.address,
        "advertise-address": settings.address,
        "secure-port": settings.base + 2,
        "service-cluster-ip-range": settings.service_range,
        "authorization-mode": "Node,RBAC",
        "allow-privileged": "true",
        "client-ca-file": authority.ca().certificate,
        "tls-cert-file": serving.certificate,
        "tls-private-key-file": serving.key,
        "kubelet-client-certificate": serving.certificate,
        "kubelet-client-key": serving.key,
        "kubelet-certificate-authority": authority.ca().certificate,
        # Or kubectl logs and exec look the node's name up in DNS.
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": account_key,
        "service-account-signing-key-file": account_key,
        "requestheader-client-ca-file": authority.ca("front-proxy-ca").certificate,
        "requestheader-allowed-names": "front-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": front.certificate,
        "proxy-client-key-file": front.key,
        "enable-aggregator-routing": "true",
        "event-ttl": "1h",
        "profiling": "false",
        **_audit(settings),
    }
    return _program(settings, "kube-apiserver", [str(programs / "kube-apiserver"), *flags(values)])


def _audit(settings: Settings) -> dict[str, object]:
    if settings.audit_log is None:
        return {}
    policy = settings.folder / "audit-policy.json"
    policy.write_text(json.dumps(_AUDIT_POLICY, indent=2))
    settings.audit_log.parent.mkdir(parents=True, exist_ok=True)
    return {
        "audit-policy-file": policy,
        "audit-log-path": settings.audit_log,
        "audit-log-maxsize": 100,
        "audit-log-maxbackup": 2,
    }


def _controller_manager(settings: Settings, programs: Path) -> processes.Program:
    authority = settings.authority
    config = client_config(settings, "controller-manager", "/CN=system:kube-controller-manager")
    values = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "secure-port": settings.base + 3,
        "root-ca-file": authority.ca().certificate,
        "service-account-private-key-file": authority.account_key(),
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": authority.ca().certificate,
        "cluster-signing-key-file": authority.ca().key,
        "leader-elect": "false",
        # Tests wait for autoscaling and for the garbage collector; the defaults make them long.
        "horizontal-pod-autoscaler-sync-period": "5s",
        "kube-api-qps": 100,
        "kube-api-burst": 200,
        "profiling": "false",
    }
    argv = [str(programs / "kube-controller-manager"), *flags(values)]
    return _program(settings, "kube-controller-manager", argv)


def _remembered_base(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / "ports.json").read_text())["base"])
    except (OSError, ValueError, KeyError):
        return None


def main() -> None:
    """Start or stop a control plane from a shell."""
    parser = argparse.ArgumentParser(description="A Kubernetes API without a node.")
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--dir", type=Path, required=True, help="folder of state, logs, pids")
    parser.add_argument("--port-base", type=int, help="first of four ports; default: free ones")
    parser.add_argument("--audit-log", type=Path, help="write the audit log to this file")
    options = parser.parse_args()
    folder = options.dir.resolve()
    if options.action == "stop":
        stop(folder)
        return
    base = options.port_base or _remembered_base(folder) or free_base()
    with home.lock(f"controlplane-{base}"):
        kubeconfig = start(Settings(folder, base, audit_log=options.audit_log))
    progress.export({"KUBECONFIG": str(kubeconfig)})


if __name__ == "__main__":
    main()
