"""The image of a runtime, at a version and for the hardware, row by row of the contract's §3.5."""

import pytest

from shoal.runtimes import images

GPU, SLICE = {"nvidia.com/gpu": "1"}, {"nvidia.com/mig-1g.5gb": "1"}
NONE: dict[str, str] = {}


@pytest.mark.parametrize(
    ("image", "version", "made"),
    [
        ("a", "2", "a:2"),
        ("a:1", "2", "a:2"),
        ("host:5000/a/b", "2", "host:5000/a/b:2"),
        ("host:5000/a/b:1", "2", "host:5000/a/b:2"),
        ("a@sha256:00", "2", "a@sha256:00"),
        ("a:1@sha256:00", "2", "a:1@sha256:00"),
        ("a:1", "", "a:1"),
    ],
)
def test_the_version_is_the_tag(image: str, version: str, made: str) -> None:
    assert images.of({"image": image}, "mlserver", version) == made


@pytest.mark.parametrize(
    ("image", "server_type", "wanted", "made"),
    [
        ("a:1", "tensorflow-serving", GPU, "a:1-gpu"),
        ("a:1", "torchserve", GPU, "a:1-gpu"),
        ("a:1", "huggingfaceserver", SLICE, "a:1-gpu"),
        ("host:5000/a:1", "torchserve", GPU, "host:5000/a:1-gpu"),
        ("a:1-gpu", "torchserve", GPU, "a:1-gpu"),
        ("a", "torchserve", GPU, "a"),
        ("host:5000/a", "torchserve", GPU, "host:5000/a"),
        ("a@sha256:00", "torchserve", GPU, "a@sha256:00"),
        ("a:1", "torchserve", {"amd.com/gpu": "1"}, "a:1"),
        ("a:1", "torchserve", NONE, "a:1"),
        ("a:1", "tritonserver", GPU, "a:1"),
        ("a:1", "", GPU, "a:1"),
        ("host:5000/a:1", "vllmserver", NONE, "host:5000/a-cpu:1"),
        ("a-cpu:1", "vllmserver", NONE, "a-cpu:1"),
        ("a:1", "vllmserver", GPU, "a:1"),
        ("a", "vllmserver", NONE, "a"),
        ("a@sha256:00", "vllmserver", NONE, "a@sha256:00"),
    ],
)
@pytest.mark.parametrize("end", ["limits", "requests"])
def test_the_hardware_is_in_the_name(
    image: str, server_type: str, wanted: dict[str, str], end: str, made: str
) -> None:
    container = {"image": image, "resources": {end: wanted} if wanted else None}
    assert images.of(container, server_type, "") == made


def test_a_version_is_taken_as_it_is_also_with_a_gpu() -> None:
    container = {"image": "a:1", "resources": {"limits": GPU}}
    assert images.of(container, "torchserve", "2") == "a:2"
