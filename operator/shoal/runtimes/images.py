"""The image of a runtime at the version that a service wants (contract §3.5)."""


def tagged(image: str, version: str) -> str:
    """Replace or add the tag; an image that is pinned by digest stays as it is."""
    if not version or "@" in image:
        return image
    head, slash, last = image.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}:{version}"
