"""Put Triton together out of the nvidia-pytriton wheel; run once, by the environment's Python.

    /opt/venv/bin/python assemble.py    makes /opt/venv/bin/tritonserver

The wheel has the server, and for each version of Python a stub that runs models, in places where
the server does not look for them.
"""

import shlex
import sys
import sysconfig
from pathlib import Path

_SCRIPT = """#!/bin/sh
# The packages of models are those of the first python3 on PATH; PYTHONPATH is ignored.
export PATH={bin}:"$PATH"
# The stub is linked to a shared libpython, which need not be where the loader looks.
export LD_LIBRARY_PATH={library}"${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
exec {server} --backend-directory={backends} "$@"
"""


def main() -> None:
    """Assemble."""
    version = sysconfig.get_python_version()
    wheel = Path(sysconfig.get_path("purelib")) / "pytriton" / "tritonserver"
    backend = Path(sys.prefix) / "tritonserver" / "backends" / "python"
    backend.mkdir(parents=True, exist_ok=True)
    stub = wheel / "python_backend_stubs" / version / "triton_python_backend_stub"
    # Links, because the stub finds its libraries relative to where it really is.
    for path in (*(wheel / "backends" / "python").iterdir(), stub):
        path.chmod(0o755)
        link = backend / path.name
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    server = wheel / "bin" / "tritonserver"
    server.chmod(0o755)
    script = Path(sys.prefix) / "bin" / "tritonserver"
    words = {
        "bin": script.parent,
        "library": _library(f"libpython{version}.so.1.0"),
        "server": server,
        "backends": backend.parent,
    }
    quoted = {key: shlex.quote(str(value)) for key, value in words.items()}
    script.write_text(_SCRIPT.format(**quoted))
    script.chmod(0o755)


def _library(name: str) -> Path:
    base = Path(sysconfig.get_config_var("LIBDIR"))
    for folder in (base, base / str(sysconfig.get_config_var("MULTIARCH"))):
        if (folder / name).exists():
            return folder
    raise SystemExit(
        f"there is no {name} in {base}; on Debian, install {name.partition('.so')[0]}"
    )


if __name__ == "__main__":
    main()
