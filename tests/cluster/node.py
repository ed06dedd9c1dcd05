"""The cluster's one node: scheduler, kubelet and kube-proxy, beside ``containers``."""

import json
from pathlib import Path

from cluster import binaries, containers, controlplane, home, network, processes
from cluster.controlplane import Settings

NODE_NAME = "shoal-node"
_CNI = {
    "cniVersion": "0.4.0",
    "name": "shoal",
    "plugins": [
        {
            # ptp and not bridge: every packet is routed, so that kube-proxy's rules see the
            # answers of a pod's neighbours without br_netfilter.
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "dataDir": str(containers.RUNTIME / "ipam"),
                "ranges": [[{"subnet": network.POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def ensure(settings: Settings) -> list[processes.Program]:
    """Start the node's programs and return them."""
    write_cni(home.cluster() / "cni")
    containers.ensure()
    programs = [_scheduler(settings), _kubelet(settings), _kube_proxy(settings)]
    for program in programs:
        processes.ensure(program)
    return programs


def write_cni(folder: Path) -> None:
    """Write the network configuration that containerd gives to pods."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-shoal.conflist").write_text(json.dumps(_CNI, indent=2))


def _scheduler(settings: Settings) -> processes.Program:
    config = controlplane.client_config(settings, "scheduler", "/CN=system:kube-scheduler")
    values = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "profiling": "false",
    }
    return _program("kube-scheduler", controlplane.flags(values))


def _kubelet(settings: Settings) -> processes.Program:
    subject = f"/O=system:nodes/CN=system:node:{NODE_NAME}"
    text = json.dumps(_kubelet_config(settings), indent=2)
    config = home.cluster() / "kubelet.json"
    config.write_text(text)
    values = {
        "config": config,
        "kubeconfig": controlplane.client_config(settings, "kubelet", subject),
        "hostname-override": NODE_NAME,
        "node-ip": network.NODE_IP,
        "root-dir": home.cluster() / "kubelet",
        "cert-dir": home.cluster() / "kubelet" / "pki",
    }
    return _program("kubelet", controlplane.flags(values), text)


def _kubelet_config(settings: Settings) -> dict[str, object]:
    folder = home.cluster()
    serving = settings.authority.issue(
        "kubelet-serving",
        f"/O=system:nodes/CN=system:node:{NODE_NAME}",
        hosts=[f"IP:{network.NODE_IP}", f"DNS:{NODE_NAME}"],
    )
    # Pods must not search the domains of this machine's own resolver.
    resolver = folder / "resolv.conf"
    resolver.write_text("")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(settings.authority.ca().certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{containers.SOCKET}",
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        # Images come from archives, not from a registry: none may be thrown away.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "clusterDomain": "cluster.local",
        "clusterDNS": [network.DNS_SERVICE_IP],
        "resolvConf": str(resolver),
        "podLogsDir": str(folder / "pods"),
        "maxPods": 250,
    }


def _kube_proxy(settings: Settings) -> processes.Program:
    values = {
        "kubeconfig": controlplane.client_config(settings, "kube-proxy", "/CN=system:kube-proxy"),
        "hostname-override": NODE_NAME,
        "proxy-mode": "iptables",
        "cluster-cidr": network.POD_RANGE,
        "healthz-bind-address": f"{network.NODE_IP}:10256",
        "metrics-bind-address": "127.0.0.1:10249",
        # The limits of connection tracking are the machine's; they may be read-only here.
        "conntrack-max-per-core": 0,
        "conntrack-min": 0,
        "conntrack-tcp-timeout-established": "0s",
        "conntrack-tcp-timeout-close-wait": "0s",
    }
    return _program("kube-proxy", controlplane.flags(values))


def _program(name: str, arguments: list[str], *inputs: str) -> processes.Program:
    argv = [str(binaries.ensure("kubernetes") / name), *arguments]
    return processes.Program(name, argv, home.cluster(), network.NETNS, inputs=inputs)
