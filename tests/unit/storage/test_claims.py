import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.storage import claims, uris
from shoal.storage.buckets import Found, Item
from shoal.storage.failures import FetchError
from shoal.storage.limits import Limits


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    claim = tmp_path / "claims" / "data"
    for name in ("m/a", "m/sub/b", "m2/c"):
        path = claim / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return claim


def look(mounted: Path, uri: str = "pvc://data/m") -> Found:
    return claims.find(mounted, uris.parse(uri), Limits(files=4))


def find(mounted: Path, uri: str) -> dict[str, Item]:
    return {item.path: item for item in look(mounted, uri).items}


async def read(mounted: Path, item: Item, span: tuple[int, int] | None = None) -> bytes:
    chunks = look(mounted, "pvc://data/m2").read(item, span or (0, item.size))
    return b"".join([chunk async for chunk in chunks])


async def test_a_folder_brings_its_files_and_no_neighbours(mounted: Path) -> None:
    found = find(mounted, "pvc://data/m/")
    assert {path: await read(mounted, item) for path, item in found.items()} == {
        "a": b"m/a",
        "sub/b": b"m/sub/b",
    }
    assert await read(mounted, found["a"], (1, 3)) == b"/a"


def test_one_file_and_a_whole_claim(mounted: Path) -> None:
    (mounted / "lost+found").mkdir(mode=0)
    assert list(find(mounted, "pvc://data/m/a")) == ["a"]
    assert list(find(mounted, "pvc://data")) == ["m/a", "m/sub/b", "m2/c"]


def test_another_content_or_time_is_another_version(mounted: Path) -> None:
    first = find(mounted, "pvc://data/m")["a"]
    (mounted / "m" / "a").write_text("new")
    os.utime(mounted / "m" / "a", (1, 1))
    second = find(mounted, "pvc://data/m")["a"]
    os.utime(mounted / "m" / "a", (2, 2))
    assert len({each.version for each in (first, second, find(mounted, "pvc://data/m")["a"])}) == 3


async def test_links_within_the_claim_are_followed(mounted: Path) -> None:
    (mounted / "m" / "file").symlink_to("../m2/c")
    (mounted / "m" / "folder").symlink_to(mounted / "m2")
    found = find(mounted, "pvc://data/m")
    assert await read(mounted, found["file"]) == b"m2/c"
    assert await read(mounted, found["folder/c"]) == b"m2/c"


def outside(mounted: Path) -> None:
    (mounted / "m" / "x").symlink_to("/etc/hostname")


def above(mounted: Path) -> None:
    (mounted / "m" / "x").symlink_to("../../other")
    (mounted.parent / "other").mkdir()


def circle(mounted: Path) -> None:
    (mounted / "m" / "sub" / "x").symlink_to("..")


def pipe(mounted: Path) -> None:
    os.mkfifo(mounted / "m" / "x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(outside, "m/x links out of the claim", id="link out"),
        pytest.param(above, "m/x links out of the claim", id="link to a neighbour claim"),
        pytest.param(circle, "m/sub/x links to a folder that it is in", id="circle"),
        pytest.param(pipe, "m/x is neither a file nor a folder", id="pipe"),
    ],
)
def test_what_cannot_be_a_model_is_named(
    mounted: Path, make: Callable[[Path], None], message: str
) -> None:
    make(mounted)
    with pytest.raises(FetchError) as caught:
        find(mounted, "pvc://data/m")
    assert caught.value.message == f"pvc://data/m: {message}"
    assert caught.value.reason == "InvalidArtifact"


def test_a_broken_link_and_nothing_are_not_found(mounted: Path) -> None:
    (mounted / "empty").mkdir()
    (mounted / "m" / "x").symlink_to("nowhere")
    for uri in ("pvc://data/m", "pvc://data/none", "pvc://data/empty"):
        with pytest.raises(FetchError) as caught:
            find(mounted, uri)
        assert caught.value.reason == "ModelNotFound"


def test_what_the_agent_may_not_read_says_who_it_is(mounted: Path) -> None:
    (mounted / "m").chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        with pytest.raises(FetchError) as caught:
            look(mounted)
    finally:
        if is_root:
            os.seteuid(0)
        (mounted / "m").chmod(0o755)
    assert caught.value.reason == "CredentialsRefused"
    assert caught.value.message.startswith("pvc://data/m: cannot be read: Permission denied; let")


async def test_a_file_that_changes_meanwhile_is_tried_again(mounted: Path) -> None:
    item = find(mounted, "pvc://data/m")["a"]
    chunks = look(mounted).read(item, (0, item.size))
    assert await anext(chunks) == b"m/a"
    (mounted / "m" / "a").write_text("longer than before")
    with pytest.raises(FetchError, match="a changed while it was copied"):
        await anext(chunks)
    with pytest.raises(FetchError, match="a changed while it was copied"):
        await read(mounted, item)


async def test_a_file_swapped_for_a_link_is_not_read(mounted: Path) -> None:
    item = find(mounted, "pvc://data/m")["a"]
    (mounted / "m" / "a").unlink()
    (mounted / "m" / "a").symlink_to("/etc/hostname")
    with pytest.raises(FetchError, match="links out of the claim"):
        await read(mounted, item)


def test_too_many_files_are_refused(mounted: Path) -> None:
    for name in "xyz":
        (mounted / "m" / name).touch()
    with pytest.raises(FetchError, match="more than 4 files"):
        look(mounted)


def test_a_claim_that_is_not_there_says_what_to_add(mounted: Path) -> None:
    folder = str(mounted.parent)
    assert claims.root(uris.parse("pvc://data/m"), folder) == mounted
    with pytest.raises(FetchError) as caught:
        claims.root(uris.parse("pvc://other/m"), folder)
    assert caught.value.reason == "ClaimNotMounted"
    assert caught.value.message == (
        "pvc://other/m: the claim is not mounted in this pod; add it to spec.predictor.volumes "
        "of the InferenceService: "
        "{name: other, persistentVolumeClaim: {claimName: other, readOnly: true}}"
    )
