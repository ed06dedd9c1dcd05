"""Programs and environments that the integration ring runs beside its tests.

PYTHONPATH=tests:operator python -m support.programs    makes all of them
"""

from concurrent.futures import ThreadPoolExecutor

from cluster import binaries
from support import serverenvs, stores


def ensure() -> None:
    """Make them side by side: the linker and pip use one core each, and pip waits."""
    works = (lambda: binaries.ensure("kubernetes"), serverenvs.ensure_all, stores.ensure)
    with ThreadPoolExecutor() as pool:
        for made in [pool.submit(work) for work in works]:
            made.result()


if __name__ == "__main__":
    ensure()
