"""What every download does, whatever brings its bytes."""

import asyncio
import io
import tarfile
from pathlib import Path

import pytest

from shoal.storage import uris
from shoal.storage.jobs import Job, Terms
from support.agentfakes import settle

FILES = 40
SIZE = 4 << 20


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Have an archive that takes a moment to unpack."""
    (tmp_path / "download").mkdir()
    with tarfile.open(tmp_path / "download" / "model.tar", "w") as archive:
        for number in range(FILES):
            member = tarfile.TarInfo(f"f{number}")
            member.size = SIZE
            archive.addfile(member, io.BytesIO(bytes(SIZE)))
    return tmp_path


async def test_an_unpacking_that_is_cancelled_is_out_of_the_next_ones_way(work: Path) -> None:
    job = Job(uris.parse("s3://b/model.tar"), Terms())
    first = asyncio.create_task(job.unpack(work, "tar", 1 << 40))
    await settle((work / "tree" / "f1").exists)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not (work / "tree" / f"f{FILES - 1}").exists()
    sums = await job.unpack(work, "tar", 1 << 40)
    assert len(sums) == FILES
