"""Build an image and load it into the cluster.

::

    python3 tests/cluster/image.py                                   localhost/shoal:dev
    python3 tests/cluster/image.py --context DIR --tag TAG [--file F] [--only-build]
    python3 tests/cluster/image.py --builtin versitygw               localhost/versitygw:dev

Nothing is built when no input has changed, and nothing loaded when the node has the image.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster import builds, containers, home, progress, providers, shell

_DEFAULT_TAG = "localhost/shoal:dev"
_KIND_NAME = "shoal"


def ensure(context: Path, tag: str, file: Path | None = None) -> None:
    """Have an image of a Dockerfile in the cluster."""
    build = builds.Build(context, file or context / "Dockerfile", tag)
    if providers.choose() == "kind":
        builds.with_docker(build)
        shell.run(["kind", "load", "docker-image", tag, "--name", _KIND_NAME])
        return
    _ensure_here(tag, build.inputs(), lambda archive: builds.with_buildah(build, archive))


def build_ahead(context: Path, tag: str, file: Path | None = None) -> None:
    """Have the archive that `ensure` loads, where no cluster is needed for that."""
    if providers.choose() == "built":
        build = builds.Build(context, file or context / "Dockerfile", tag)
        with home.lock("images"):
            _write(tag, build.inputs(), lambda archive: builds.with_buildah(build, archive))


def ensure_builtin(name: str) -> None:
    """Have an image of one of the programs that this folder builds."""
    tag = f"localhost/{name}:dev"
    if providers.choose() == "kind":
        archive = _archive(tag)
        builds.builtin(name, tag, archive)
        shell.run(["kind", "load", "image-archive", str(archive), "--name", _KIND_NAME])
        return
    key = builds.builtin_inputs(name)
    _ensure_here(tag, key, lambda archive: builds.builtin(name, tag, archive))


def _ensure_here(tag: str, key: str, write: Callable[[Path], None]) -> None:
    """Make the archive unless it is of these inputs, and import it unless containerd has it."""
    if providers.choose() == "context":
        raise providers.NoClusterError(
            f"{tag} cannot be loaded into a cluster of yours: push it to a registry it pulls from"
        )
    with home.lock("images"):
        archive = _write(tag, key, write)
        loaded = home.cluster() / "images" / archive.with_suffix(".inputs").name
        if _says(loaded, key) and containers.has_image(tag):
            progress.say(f"image {tag} is up to date")
            return
        with progress.step(f"loading image {tag} into the cluster"):
            containers.import_archive(archive)
        loaded.parent.mkdir(parents=True, exist_ok=True)
        loaded.write_text(key)


def _write(tag: str, key: str, write: Callable[[Path], None]) -> Path:
    archive = _archive(tag)
    stamp = archive.with_suffix(".inputs")
    if not archive.exists() or not _says(stamp, key):
        stamp.unlink(missing_ok=True)
        write(archive)
        stamp.write_text(key)
    return archive


def _archive(tag: str) -> Path:
    return home.home() / "images" / (tag.replace("/", "_").replace(":", "_") + ".tar")


def _says(stamp: Path, key: str) -> bool:
    return stamp.exists() and stamp.read_text() == key


def main() -> int:
    """Build and load what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Build an image and load it into the cluster.")
    parser.add_argument("--context", type=Path, default=home.CHECKOUT)
    parser.add_argument("--tag", default=_DEFAULT_TAG)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--builtin", choices=sorted(builds.BUILTIN))
    parser.add_argument("--only-build", action="store_true", help="load nothing into a cluster")
    options = parser.parse_args()
    try:
        if options.builtin:
            ensure_builtin(options.builtin)
        else:
            make = build_ahead if options.only_build else ensure
            make(options.context.resolve(), options.tag, options.file)
    except (providers.NoClusterError, shell.CommandError) as error:
        progress.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
