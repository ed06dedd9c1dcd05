"""What the C library does with memory that is free again. Caller: commands."""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1  # M_… of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3
_KEPT: Final = 256 * 1024 * 1024  # as much may lie unused
_LARGE: Final = 32 * 1024 * 1024  # the most that glibc takes; larger pieces come from the kernel


def keep() -> bool:
    """Have memory used again that is free again, instead of given back to the kernel.

    obstore gives each piece of a download in memory of its own, and glibc gives memory of that
    size back at once: the kernel zeroes new pages for the next piece, which was a quarter of the
    time that a large object took. Only for a process that ends when the download does.

    Returns:
        Whether the C library was told; others than glibc do as they do.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(tell and tell(_MMAP_THRESHOLD, _LARGE) and tell(_TRIM_THRESHOLD, _KEPT))
