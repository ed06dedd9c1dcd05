"""Programs built from Go modules: pinned by ``modules/*/go.sum``, built once, cached by hash.

Each folder under ``modules/`` is a module of its own, because their dependencies clash. Its
``tool`` lines say which commands it stands for.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import home, packages, progress, shell

KUBERNETES_VERSION = "1.34.4"
# The linker drops it anyhow, and it is a fifteenth of the compiler's work.
_NO_DWARF = "-gcflags=all=-dwarf=false"


@dataclass(frozen=True)
class Module:
    """One Go module of commands."""

    name: str
    commands: Sequence[str]
    version: str
    minutes: str
    flags: Sequence[str] = ()

    @property
    def folder(self) -> Path:
        """Return where its go.mod is."""
        return home.HERE / "modules" / self.name

    def ldflags(self) -> str:
        """Return the linker's flags: no symbols, and the version that the program shall tell."""
        return " ".join(["-s", "-w", *(f"-X {flag}" for flag in self.flags)])

    def key(self) -> str:
        """Return a hash of all that decides what the build gives."""
        parts = [(self.folder / part).read_text() for part in ("go.mod", "go.sum")]
        text = "\0".join([*parts, self.ldflags()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def cache(self) -> Path:
        """Return the folder that holds this very build."""
        return home.builds() / self.name / self.key()


def _kubernetes_flags() -> list[str]:
    # Without these the API server calls itself v0.0.0-master, and clients complain.
    base = "k8s.io/component-base/version"
    major, minor, _ = KUBERNETES_VERSION.split(".")
    return [
        f"{base}.gitVersion=v{KUBERNETES_VERSION}",
        f"{base}.gitMajor={major}",
        f"{base}.gitMinor={minor}",
        f"{base}.gitTreeState=clean",
        f"k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES_VERSION}",
    ]


MODULES = {
    module.name: module
    for module in (
        Module(
            "kubernetes",
            (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            ),
            KUBERNETES_VERSION,
            "5 minutes",
            tuple(_kubernetes_flags()),
        ),
        Module(
            "helm",
            ("helm",),
            "3.22.0",
            "80 seconds",
            (
                "helm.sh/helm/v3/internal/version.version=v3.22.0",
                # Without a cluster to ask, it would take it for a Kubernetes of long ago.
                "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
                "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34",
                "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
                "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=34",
            ),
        ),
        Module("coredns", ("coredns",), "1.12.4", "60 seconds"),
        Module("contour", ("contour",), "1.33.8", "100 seconds"),
        Module("versitygw", ("versitygw",), "1.8.0", "60 seconds"),
        Module("fake-gcs-server", ("fake-gcs-server",), "1.56.1", "90 seconds"),
        Module("kubeconform", ("kubeconform",), "0.7.0", "15 seconds"),
    )
}


def ensure(name: str) -> Path:
    """Build a module's commands unless they are cached; return the folder of links to them."""
    module = MODULES[name]
    with home.lock(f"build-{name}"):
        cache = module.cache()
        if not (cache / "complete").exists():
            _build(module, cache)
        for command in module.commands:
            _link(cache / command, home.binaries() / command)
    return home.binaries()


def module_folder(name: str, dependency: str) -> Path:
    """Return the folder in Go's module cache of a dependency that a module pins."""
    folder = MODULES[name].folder
    argv = [str(packages.go()), "mod", "download", dependency]
    shell.run(argv, cwd=folder, env=_go_env())
    argv = [str(packages.go()), "list", "-m", "-f", "{{.Dir}}", dependency]
    return Path(shell.run(argv, cwd=folder, env=_go_env()).strip())


def build_program(source: Path, target: Path) -> Path:
    """Build one small static program of our own, a folder with a main package."""
    argv = [str(packages.go()), "build", "-trimpath", _NO_DWARF, "-ldflags=-s -w"]
    argv += ["-o", str(target), "."]
    shell.run(argv, cwd=source, env={**_go_env(), "GOWORK": "off"})
    return target


def offer_on_path(commands: Sequence[str]) -> None:
    """Link commands that are not on PATH into /usr/local/bin, and say so."""
    for command in commands:
        target = Path("/usr/local/bin") / command
        taken = shutil.which(command) or target.exists()
        if taken or not os.access(target.parent, os.W_OK):
            continue
        _link(home.binaries() / command, target)
        progress.say(f"{command} was not on PATH; linked as {target}")


def _build(module: Module, cache: Path) -> None:
    title = f"building {module.name} {module.version} (once; about {module.minutes} on 2 cores)"
    with progress.step(title):
        cache.mkdir(parents=True, exist_ok=True)
        argv = [str(packages.go()), "install", "-trimpath", _NO_DWARF]
        argv += ["-ldflags", module.ldflags(), *_tools(module)]
        shell.run(argv, cwd=module.folder, env={**_go_env(), "GOBIN": str(cache)})
        (cache / "complete").touch()


def _tools(module: Module) -> list[str]:
    """Return the import paths that go.mod lists as tools, one a line or in a block."""
    text = (module.folder / "go.mod").read_text()
    block = re.search(r"^tool \((.*?)^\)", text, re.MULTILINE | re.DOTALL)
    if block:
        return block.group(1).split()
    return re.findall(r"^tool (\S+)$", text, re.MULTILINE)


def _go_env() -> dict[str, str]:
    # A fifth of the compiler's time is its own collection of garbage.
    return {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOGC": "400"}


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() and target.readlink() == source:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(source)
    fresh.rename(target)
