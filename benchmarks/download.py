"""Fetch one address into a folder as the agent does, with its sums; print the seconds it took.

PYTHONPATH=operator python benchmarks/download.py URI FOLDER    the keys are in the environment
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from shoal.storage import transfers, trees
from shoal.storage.credentials import Credentials
from shoal.storage.jobs import Terms
from shoal.storage.sessions import Sessions

ROOM = 2**50


async def fetch(uri: str, into: Path) -> None:
    """Bring it, and name its content."""
    known, place = Credentials(environ=dict(os.environ)), transfers.parse(uri)
    async with Sessions() as sessions, transfers.opened(place, known, sessions, Terms()) as source:
        sums = await source.download(into, ROOM, lambda _: None)
    trees.digest(into / transfers.TREE, sums)


if __name__ == "__main__":
    begun = time.perf_counter()
    asyncio.run(fetch(sys.argv[1], Path(sys.argv[2])))
    sys.stdout.write(f"{time.perf_counter() - begun}\n")
