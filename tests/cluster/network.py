"""The cluster's network namespace: addresses, the veth pair to the host, routes into it.

::

    host 10.213.0.1 ── veth ── 10.213.0.2 node ──┬── pods      10.213.64.0/18
                                                 └── services  10.213.128.0/18

Everything that kube-proxy and CNI do to iptables stays inside. The host has routes to pods and
services through the node, so that tests and benchmarks speak to them without a proxy between.
"""

from pathlib import Path

from cluster import progress, shell

NETNS = "shoal"
HOST_IP = "10.213.0.1"
NODE_IP = "10.213.0.2"
POD_RANGE = "10.213.64.0/18"
SERVICE_RANGE = "10.213.128.0/18"
FIRST_SERVICE_IP = "10.213.128.1"
DNS_SERVICE_IP = "10.213.128.10"
_HOST_LINK = "shoal-host"
_NODE_LINK = "shoal-node"
# Set in the namespace alone: pods are reached through the node, so it forwards.
_SYSCTLS = {"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0"}


def ensure() -> bool:
    """Make the namespace and its link to the host unless it is there; say whether it was made."""
    fresh = not _exists()
    if fresh:
        progress.say(f"making network namespace {NETNS} ({NODE_IP}; host side {HOST_IP})")
        shell.run(["ip", "netns", "add", NETNS])
    if not _linked():
        shell.succeeds(["ip", "link", "delete", _HOST_LINK])
        pair = ["ip", "link", "add", _HOST_LINK, "type", "veth"]
        shell.run([*pair, "peer", "name", _NODE_LINK, "netns", NETNS])
    shell.run(["ip", "address", "replace", f"{HOST_IP}/30", "dev", _HOST_LINK])
    shell.run(["ip", "link", "set", _HOST_LINK, "up"])
    for addresses in (POD_RANGE, SERVICE_RANGE):
        shell.run(["ip", "route", "replace", addresses, "via", NODE_IP, "dev", _HOST_LINK])
    _inside(["ip", "link", "set", "lo", "up"])
    _inside(["ip", "address", "replace", f"{NODE_IP}/30", "dev", _NODE_LINK])
    _inside(["ip", "link", "set", _NODE_LINK, "up"])
    _inside(["ip", "route", "replace", "default", "via", HOST_IP])
    for name, value in _SYSCTLS.items():
        _inside(["sh", "-c", f"echo {value} > /proc/sys/net/{name}"])
    return fresh


def delete() -> None:
    """Remove the namespace; its links, routes and rules go with it."""
    shell.succeeds(["ip", "link", "delete", _HOST_LINK])
    if _exists():
        shell.run(["ip", "netns", "delete", NETNS])


def _exists() -> bool:
    # A file that is left over from before a reboot is not a namespace.
    alive = shell.succeeds(["nsenter", f"--net=/run/netns/{NETNS}", "true"])
    if not alive and Path(f"/run/netns/{NETNS}").exists():
        shell.succeeds(["ip", "netns", "delete", NETNS])
    return alive


def _linked() -> bool:
    return shell.succeeds(["ip", "link", "show", _HOST_LINK]) and shell.succeeds(
        ["nsenter", f"--net=/run/netns/{NETNS}", "ip", "link", "show", _NODE_LINK]
    )


def _inside(argv: list[str]) -> None:
    shell.run(["nsenter", f"--net=/run/netns/{NETNS}", *argv])
