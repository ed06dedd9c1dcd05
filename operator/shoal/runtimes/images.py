"""The image of a runtime at the version, and for the hardware, that a service wants (§3.5)."""

from collections.abc import Mapping
from typing import Any, Final

from shoal.runtimes import servertypes

Container = Mapping[str, Any]

_GPU: Final = "nvidia.com/gpu"
_GPU_SLICE: Final = "nvidia.com/mig"
# Their images with a GPU's libraries have the same name and another tag.
_GPU_TAGGED: Final = frozenset(
    {servertypes.TENSORFLOW, servertypes.TORCHSERVE, servertypes.HUGGING_FACE}
)


def of(container: Container, server_type: str, version: str) -> str:
    """Choose the image: of the wanted version, else the one for what the container asks for.

    An image that is pinned by digest stays as it is. One without a tag has no variant.
    """
    image = str(container.get("image", ""))
    if version:
        return tagged(image, version)
    name, tag = _split(image)
    if "@" in image or not tag:
        return image
    if _has_gpu(container):
        is_other = server_type in _GPU_TAGGED and not tag.endswith("-gpu")
        return f"{image}-gpu" if is_other else image
    if server_type == servertypes.VLLM and not name.endswith("-cpu"):
        return f"{name}-cpu:{tag}"
    return image


def tagged(image: str, version: str) -> str:
    """Replace or add the tag; an image that is pinned by digest stays as it is."""
    if not version or "@" in image:
        return image
    return f"{_split(image)[0]}:{version}"


def _split(image: str) -> tuple[str, str]:
    """Part the name from the tag; a colon before the last slash is a registry's port."""
    head, slash, last = image.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{head}{slash}{name}", tag


def _has_gpu(container: Container) -> bool:
    resources = container.get("resources") or {}
    wanted = {key for end in ("limits", "requests") for key in resources.get(end) or {}}
    return any(key == _GPU or key.startswith(_GPU_SLICE) for key in wanted)
