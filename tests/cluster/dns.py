"""The cluster's DNS: CoreDNS as a process on the node, behind a Service that pods know."""

from cluster import binaries, controlplane, home, network, processes
from cluster.controlplane import Settings

# No upstream: a name outside of the cluster is refused at once instead of after a timeout.
_COREFILE = """\
.:53 {{
    bind {address}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig} shoal
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""
_META = {"name": "kube-dns", "namespace": "kube-system"}
OBJECTS = (
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**_META, "labels": {"k8s-app": "kube-dns"}},
        "spec": {
            "clusterIP": network.DNS_SERVICE_IP,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        },
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**_META, "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [network.NODE_IP], "conditions": {"ready": True}}],
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        ],
    },
)


def ensure(settings: Settings) -> processes.Program:
    """Start CoreDNS."""
    folder = home.cluster()
    config = controlplane.client_config(settings, "coredns", "/O=system:masters/CN=coredns")
    text = _COREFILE.format(address=network.NODE_IP, kubeconfig=config)
    corefile = folder / "Corefile"
    corefile.write_text(text)
    argv = [str(binaries.ensure("coredns") / "coredns"), "-conf", str(corefile)]
    program = processes.Program("coredns", argv, folder, network.NETNS, inputs=(text,))
    processes.ensure(program)
    return program
