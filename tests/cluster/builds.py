"""Building images, with buildah here and with Docker for kind; called by ``image.py``."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cluster import archives, binaries, home, packages, progress, shell

BASE_TAG = "localhost/shoal-base:bookworm"
_BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
_BASE_SUITE = "bookworm"
_NEEDLESS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt")
_CERTIFICATES = Path("/etc/ssl/certs")
_PASSED_ON = ("PIP_INDEX_URL",)
_SKIPPED = {"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
# Images of nothing but a static program: built from a module, or from a folder of images/.
BUILTIN = ("versitygw", "fake-gcs-server", "probe")


@dataclass(frozen=True)
class Build:
    """What to build an image from."""

    context: Path
    file: Path
    tag: str

    def inputs(self) -> str:
        """Return a hash of every file that can change the image."""
        digest = hashlib.sha256(_base_key().encode())
        digest.update(self.file.read_bytes())
        for path in _files(self.context):
            name = str(path.relative_to(self.context))
            digest.update(b"\0".join([b"", name.encode(), path.read_bytes()]))
        return digest.hexdigest()


def with_buildah(build: Build, archive: Path) -> None:
    """Build an image and write it as an archive."""
    packages.ensure(packages.IMAGES)
    _ensure_base()
    argv = ["build", "--layers", "--build-arg", f"BASE={BASE_TAG}", "--file", str(build.file)]
    argv += ["--tag", build.tag, *_certificates(), *_passed_on()]
    with progress.step(f"building image {build.tag}"):
        _buildah(*argv, str(build.context))
    _save(build.tag, archive)


def with_docker(build: Build) -> None:
    """Build an image with Docker, on the Dockerfile's own base."""
    argv = ["docker", "build", "--file", str(build.file), "--tag", build.tag, *_passed_on()]
    with progress.step(f"building image {build.tag}"):
        shell.run([*argv, str(build.context)])


def builtin(name: str, tag: str, archive: Path) -> None:
    """Write an image of nothing but a static program."""
    if name in binaries.MODULES:
        program = binaries.ensure(name) / name
    else:
        program = binaries.build_program(_source(name), home.binaries() / name)
    archives.StaticImage(tag, program, name).write(archive)


def builtin_inputs(name: str) -> str:
    """Return a hash of what decides the image of a static program."""
    if name in binaries.MODULES:
        return binaries.MODULES[name].key()
    contents = [path.read_bytes() for path in _files(_source(name))]
    return hashlib.sha256(b"\0".join(contents)).hexdigest()


def _source(name: str) -> Path:
    return home.HERE / "images" / name


def _files(context: Path) -> list[Path]:
    """Return the files of a context, those that its .dockerignore lets in where it has one."""
    rules = context / ".dockerignore"
    lines = rules.read_text().split() if rules.exists() else []
    allowed = [context / line[1:] for line in lines if line.startswith("!")] or [context]
    found = []
    for start in allowed:
        candidates = start.rglob("*") if start.is_dir() else [start]
        found += [path for path in candidates if path.is_file() and _counts(path, context)]
    return sorted(found)


def _counts(path: Path, context: Path) -> bool:
    return not _SKIPPED.intersection(path.relative_to(context).parts)


def _base_key() -> str:
    recipe = [_BASE_SUITE, *_BASE_PACKAGES, *_NEEDLESS]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]


def _ensure_base() -> None:
    """Make the base image with debootstrap, once for a list of packages."""
    stamp = home.home() / "images" / "base"
    known = stamp.exists() and stamp.read_text() == _base_key()
    if known and shell.succeeds(_buildah_argv("inspect", "--type", "image", BASE_TAG)):
        return
    with (
        progress.step("making the base image with debootstrap (once; about a minute)"),
        tempfile.TemporaryDirectory(dir=home.home()) as folder,
    ):
        root = Path(folder) / "root"
        argv = ["debootstrap", "--variant=minbase", f"--include={','.join(_BASE_PACKAGES)}"]
        shell.run([*argv, _BASE_SUITE, str(root)], env={"DEBIAN_FRONTEND": "noninteractive"})
        for needless in _NEEDLESS:
            shutil.rmtree(root / needless, ignore_errors=True)
        recipe = Path(folder) / "Dockerfile"
        recipe.write_text("FROM scratch\nCOPY root /\nENV LANG=C.UTF-8\n")
        _buildah("build", "--file", str(recipe), "--tag", BASE_TAG, folder)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(_base_key())


def _certificates() -> list[str]:
    """Give pip in the build this machine's certificate authorities; a proxy may have its own."""
    bundle = _CERTIFICATES / "ca-certificates.crt"
    if not bundle.exists():
        return []
    volume = f"{_CERTIFICATES}:{_CERTIFICATES}:ro"
    return ["--volume", volume, "--build-arg", f"PIP_CERT={bundle}"]


def _passed_on() -> list[str]:
    words = [f"{name}={os.environ[name]}" for name in _PASSED_ON if os.environ.get(name)]
    return [part for word in words for part in ("--build-arg", word)]


def _save(tag: str, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    with progress.step(f"saving image {tag}"):
        _buildah("push", tag, f"docker-archive:{archive}:{tag}")


def _buildah(*arguments: str) -> str:
    return shell.run(_buildah_argv(*arguments), env=_buildah_env())


def _buildah_argv(*arguments: str) -> list[str]:
    storage = home.home() / "buildah"
    places = ["--root", str(storage / "storage"), "--runroot", str(storage / "run")]
    return ["buildah", *places, "--storage-driver", _driver(storage), *arguments]


def _buildah_env() -> dict[str, str]:
    return {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(home.home())}


def _driver(storage: Path) -> str:
    """Return overlay where the kernel mounts one over this folder, else vfs; remember which."""
    remembered = storage / "driver"
    if not remembered.exists():
        storage.mkdir(parents=True, exist_ok=True)
        probe = ["buildah", "--root", str(storage / "storage"), "--runroot", str(storage / "run")]
        works = shell.succeeds([*probe, "--storage-driver", "overlay", "images"])
        remembered.write_text("overlay" if works else "vfs")
    return remembered.read_text()
